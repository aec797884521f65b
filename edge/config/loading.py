"""From a path to a `Config`, or to everything that is wrong with the file.

bytes → text → `tomllib` → `structure.py` (each value) → `consistency.py` (values together); `lines.py` gives the
line of each key. No content of a file raises anything but `ConfigurationError`.
"""

import os
import re
import tomllib
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from edge.config.certificates import certificate_faults
from edge.config.consistency import Draft, inconsistencies, is_path_of_profile
from edge.config.files import Files
from edge.config.lines import index
from edge.config.metering import ReadProfile, metering_faults
from edge.config.problems import ConfigurationError, LineIndex, Problem, located
from edge.config.structure import structure
from edge.config.values import Config


def load(
    path: Path,
    *,
    credentials_directory: Path | None = None,
    known_profiles: Collection[str] | None = None,
    read_profile: ReadProfile | None = None,
    now: datetime | None = None,
) -> Config:
    """Raises ConfigurationError with all errors (and no warnings) if the daemon cannot run with this file."""
    config, problems = check(
        path,
        credentials_directory=credentials_directory,
        known_profiles=known_profiles,
        read_profile=read_profile,
        now=now,
    )
    if config is None:
        raise ConfigurationError(tuple(problem for problem in problems if not problem.warning))
    return config


def check(
    path: Path,
    *,
    credentials_directory: Path | None = None,
    known_profiles: Collection[str] | None = None,
    read_profile: ReadProfile | None = None,
    now: datetime | None = None,
) -> tuple[Config | None, tuple[Problem, ...]]:
    """Every problem in the order of the lines, warnings among them.

    The file is valid when no problem is an error. There is a Config as well when the only errors are fail-safe
    currents above a limit: the daemon starts and limits itself. `credentials_directory` is by default
    `$CREDENTIALS_DIRECTORY`; without `known_profiles` the names of meter profiles are not checked, without
    `read_profile` not what is in them, without `now` not the dates of certificates.
    """
    if credentials_directory is None and (from_systemd := os.environ.get("CREDENTIALS_DIRECTORY")):
        credentials_directory = Path(from_systemd)
    try:
        text = _text(path)
        document, lines = _parsed(text, path)
    except ConfigurationError as failed:
        return None, failed.problems
    files = Files(path.absolute().parent, credentials_directory)
    config, wrong_values = structure(document, files)
    draft = Draft(document, frozenset(fault.path for fault in wrong_values), lines)
    faults = (
        *wrong_values,
        *inconsistencies(draft, files, known_profiles),
        *metering_faults(draft, files, read_profile),
        *certificate_faults(draft, files, now),
    )
    problems = [located(fault, str(path), document, lines) for fault in faults]
    is_usable = all(fault.warning or fault.can_run for fault in faults)
    return (
        _completed(config, files) if config is not None and is_usable else None,
        tuple(sorted(problems, key=lambda problem: problem.line or 0)),
    )


def _completed(config: Config, files: Files) -> Config:
    """With what one key takes from another."""
    uplink = config.uplink
    if uplink is not None and not uplink.identity:
        uplink = replace(uplink, identity=config.site.id)
    meters = tuple(
        replace(meter, profile=str(files.locate(meter.profile))) if is_path_of_profile(meter.profile) else meter
        for meter in config.meters
    )
    return replace(config, uplink=uplink, meters=meters)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _unusable(path, "no such file; `edge --config FILE` names another") from None
    except (OSError, ValueError) as failed:
        reason = failed.strerror if isinstance(failed, OSError) and failed.strerror else failed
        raise _unusable(path, f"cannot be read ({reason}); expected a TOML file") from None
    if b"\0" in content:
        raise _unusable(path, "is a binary file; expected TOML, which is UTF-8 text")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as failed:
        line = content.count(b"\n", 0, failed.start) + 1
        raise _unusable(path, f"byte 0x{content[failed.start]:02x} is not UTF-8; expected UTF-8 text", line) from None


def _parsed(text: str, path: Path) -> tuple[dict[str, object], LineIndex]:
    try:
        return tomllib.loads(text), index(text)
    except tomllib.TOMLDecodeError as failed:
        message, line = str(failed), text.rstrip().count("\n") + 1
        if found := re.search(r" \(at line (\d+), column \d+\)$", message):
            message, line = message[: found.start()], int(found[1])
        message = message.removesuffix(" (at end of document)")
        expected = "expected TOML: [table], [[table]] or key = value"
        raise _unusable(path, f"{message}; {expected}", line) from None
    except (ValueError, RecursionError):  # an integer of 5,000 digits, a thousand brackets
        raise _unusable(path, "has a number too long or brackets too deep to be read; expected plain TOML") from None


def _unusable(path: Path, message: str, line: int | None = None) -> ConfigurationError:
    return ConfigurationError((Problem(str(path), line, "", message),))
