"""For which chargers a request of the CSMS is meant: to it the whole site is one station (ocpp-rules.md H.4).

1. The location says so: `…/evb.bin#target=CP-03,CP-04`, or `#target=Acme:EVB-P` for a vendor and model;
   `?target=CP-03` where a CSMS sends no fragments.
2. A rule of the configuration says for which model files of that name are.
3. All chargers are of one vendor and model.
Else nobody knows, and nobody is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote

from edge.domain.ids import ChargerId

TARGET = "target="


@dataclass(frozen=True, slots=True)
class Box:
    """A charger, as far as firmware is concerned."""

    charger: ChargerId
    vendor: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class FileRule:
    """Files whose name fits are for chargers of this vendor and model."""

    file: str
    """A pattern, such as `evb-*.bin`."""
    vendor: str | None
    model: str | None


class NobodyMeant(Exception):
    """The message says why, and how to say whom."""


def split(location: str) -> tuple[str, str | None]:
    """The URL without what names the target, and that: in its fragment, or as a parameter of its query."""
    url, _, fragment = location.partition("#")
    if fragment.startswith(TARGET):
        return url, unquote(fragment.removeprefix(TARGET))
    path, _, query = url.partition("?")
    parameters = query.split("&")
    targets = [one for one in parameters if one.startswith(TARGET)]
    if not targets:
        return url, None
    rest = "&".join(one for one in parameters if one not in targets)
    return path + (f"?{rest}" if rest else ""), unquote(targets[0].removeprefix(TARGET))


def chosen(location: str, boxes: Sequence[Box], rules: Sequence[FileRule]) -> list[ChargerId]:
    """In the order of `boxes`. Raises NobodyMeant."""
    url, target = split(location)
    if target:
        return named(target, boxes)
    name = unquote(url.partition("?")[0].rpartition("/")[2])
    for rule in rules:
        if fnmatchcase(name.lower(), rule.file.lower()):
            found = [one.charger for one in boxes if _is_of(one, rule.vendor, rule.model)]
            if not found:
                raise NobodyMeant(f"{name} is for {_make(rule.vendor, rule.model)}, and there is no such charger.")
            return found
    makes = {(one.vendor, one.model) for one in boxes}
    if len(makes) == 1 and None not in next(iter(makes)):
        return [one.charger for one in boxes]
    raise NobodyMeant(
        f"The CSMS does not say for which chargers {name or 'the file'} is, and they are not all of one model: "
        "#target=CHARGER or #target=VENDOR:MODEL at the end of the location says it, or [[firmware_rule]]."
    )


def named(target: str, boxes: Sequence[Box]) -> list[ChargerId]:
    """What a location says behind `#target=`. Raises NobodyMeant."""
    vendor, separator, model = target.partition(":")
    if separator:
        found = [one.charger for one in boxes if _is_of(one, vendor, model or None)]
    else:
        names = {name.casefold() for name in target.split(",")}
        found = [one.charger for one in boxes if one.charger.casefold() in names]
        if len(found) < len(names):
            found = []  # one of them is not here: better nobody than not all
    if not found:
        raise NobodyMeant(f"The location is for {target}, and there is no such charger.")
    return found


def _is_of(one: Box, vendor: str | None, model: str | None) -> bool:
    return _fits(vendor, one.vendor) and _fits(model, one.model)


def _fits(wanted: str | None, said: str | None) -> bool:
    return wanted is None or (said is not None and said.casefold() == wanted.casefold())


def _make(vendor: str | None, model: str | None) -> str:
    return " ".join(part for part in (vendor, model) if part) or "any charger"
