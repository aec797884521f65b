"""By which protocol a charger fetches a file: many old ones know FTP only, others HTTP only (ocpp-rules.md H.5)."""

import re
from collections.abc import Collection, Sequence

PREFERRED = ("http", "ftp")
_KIN = {"http": {"https"}, "ftp": {"ftps", "sftp"}}
"""What hints at it: who lists no protocol of ours is most likely to know this relative of one."""


def named(written: str | None) -> frozenset[str]:
    """The protocols in the value of the key, however they are spelled and separated."""
    return frozenset(re.findall(r"[a-z]+", (written or "").casefold()))


def chosen(offered: Collection[str], listed: Collection[str], requests: int) -> str:
    """The protocol for the next request. `listed`: by the charger, nothing if not known; `requests`: made before.

    Each further request tries the next that may do: what a charger lists it need not be able to (J.2, 97).
    """
    fitting = _fitting([one for one in PREFERRED if one in offered], listed) or list(offered)
    return fitting[requests % len(fitting)]


def _fitting(ours: Sequence[str], listed: Collection[str]) -> list[str]:
    known = [one for one in ours if one in listed]
    related = [one for one in ours if not _KIN[one].isdisjoint(listed)]
    return known or related or list(ours)
