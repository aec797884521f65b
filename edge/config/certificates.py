"""What the certificate files of listeners and uplink have to be, together and on the day of the check.

A wrong date is a warning and never stops the daemon: on a gateway without a clock of its own, it is the clock that is
wrong, and chargers judge by theirs.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from edge.config.consistency import Draft, Table
from edge.config.files import Files
from edge.config.problems import Fault, Unexpected

_LISTENER_FILES = ("cert_file", "key_file", "second_cert_file", "second_key_file")
_PAIRS = (("cert_file", "key_file"), ("second_cert_file", "second_key_file"))


def certificate_faults(draft: Draft, files: Files, now: datetime | None) -> tuple[Fault, ...]:
    """Without `now`, dates are not judged."""
    faults: list[Fault] = []
    for table in draft.tables("listener"):
        profile = draft.value(table, "security_profile")
        if profile in (0, 1):
            faults += _idle_files(table, _LISTENER_FILES, f"not used at security_profile = {profile}, which is ws://")
        elif profile is not None:
            faults += _missing_files(table)
            faults += _listener_files(draft, table, files, now)
        faults += _idle_files(table, ("client_ca_file",), "read but not used: security_profile = 3 is not built yet")
    for table in draft.tables("uplink"):
        if draft.value(table, "security_profile") in (2, 3):
            faults += _uplink_files(draft, table, files, now)
    return tuple(faults)


def _idle_files(table: Table, keys: tuple[str, ...], why: str) -> Iterator[Fault]:
    yield from (Fault((*table[0], key), why, warning=True) for key in keys if key in table[1])


def _missing_files(table: Table) -> Iterator[Fault]:
    for number, (cert, key) in enumerate(_PAIRS):
        for one, other in ((cert, key), (key, cert)):
            if one in table[1]:
                continue
            if other in table[1]:
                yield Fault((*table[0], one), f"missing, expected the name of a file as {cert} and {key} go together")
            elif number == 0:
                yield Fault((*table[0], one), "missing, expected the name of a file at security_profile = 2")


def _listener_files(draft: Draft, table: Table, files: Files, now: datetime | None) -> Iterator[Fault]:
    from edge.tls.contexts import Pair  # OpenSSL is loaded only where TLS is configured
    from edge.tls.judgement import judge_listener

    found = {key: path for key in _LISTENER_FILES if (path := _path(draft, table, key, files)) is not None}
    pairs = [Pair(found[cert], found[key]) for cert, key in _PAIRS if cert in found and key in found]
    for remark in judge_listener(pairs, now):
        yield Fault((*table[0], _key_of(remark.path, found)), remark.message, warning=not remark.is_error)


def _uplink_files(draft: Draft, table: Table, files: Files, now: datetime | None) -> Iterator[Fault]:
    from edge.tls.contexts import Pair
    from edge.tls.judgement import judge_authorities, judge_pair

    keys = ("ca_file", "cert_file", "key_file")
    found = {key: path for key in keys if (path := _path(draft, table, key, files)) is not None}
    remarks = judge_authorities(found["ca_file"], now) if "ca_file" in found else []
    if "cert_file" in found and "key_file" in found:
        remarks += judge_pair(Pair(found["cert_file"], found["key_file"]), now)[0]
    for remark in remarks:
        yield Fault((*table[0], _key_of(remark.path, found)), remark.message, warning=not remark.is_error)


def _path(draft: Draft, table: Table, key: str, files: Files) -> Path | None:
    name = draft.value(table, key)
    try:
        return None if name is None else files.locate(name)
    except Unexpected:
        return None  # told where the value itself is judged


def _key_of(path: Path, found: Mapping[str, Path]) -> str:
    """Where the fault belongs; one file may hold both, the certificate and its key."""
    return next(key for key, value in found.items() if value == path)
