"""`edge check`: every problem of the configuration file, or a summary of what the daemon would do with it.

Works without a daemon. Loaded only for this command: it brings `edge.config` and what that needs.
"""

import json
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from edge.config import Config, Listener, Problem, Uplink, check
from edge.config.metering import ReadProfile
from edge.console.document import printable
from edge.console.errors import USAGE
from edge.console.table import Page, labelled
from edge.console.units import counted
from edge.jsontypes import Payload
from edge.tls.contexts import read_certificates


def check_configuration(path: Path, *, as_json: bool, page: Page, read_profile: ReadProfile | None = None) -> int:
    """0 when nothing in the file is wrong, else 2."""
    now = datetime.now(UTC)  # noqa: TID251 - a process of its own; nobody could hand it a Clock
    config, problems = check(path, known_profiles=meter_profiles(), read_profile=read_profile, now=now)
    errors = sum(not problem.warning for problem in problems)
    if as_json:
        print(json.dumps(_document(path, problems, is_valid=config is not None and not errors)))
    else:
        for problem in problems:
            print(printable(str(problem)), file=sys.stderr)
        if config is None or errors:
            print(f"{path} is not valid: {counted(errors, 'error')}.", file=sys.stderr)
        else:
            warnings = f" ({counted(len(problems), 'warning')})" if problems else ""
            print("\n".join([f"{path} is {page.state('valid')}{warnings}.", "", *labelled(_summary(config), page)]))
    return USAGE if config is None or errors else 0


def meter_profiles() -> frozenset[str]:
    """Names of the meter models that come with the program."""
    folder = files("edge") / "site" / "meters"
    return frozenset(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def _document(path: Path, problems: tuple[Problem, ...], *, is_valid: bool) -> Payload:
    return {
        "v": 1,
        "file": str(path),
        "valid": is_valid,
        "problems": [
            {
                "file": str(problem.file),
                "line": problem.line,
                "key": problem.key,
                "message": problem.message,
                "severity": "warning" if problem.warning else "error",
            }
            for problem in problems
        ],
    }


def _summary(config: Config) -> list[tuple[str, str]]:
    site, uplink = config.site, config.uplink
    pairs = [("site", f"{site.name or site.id} ({site.id}), {site.timezone}")]
    pairs += [("listener", _listener_words(each)) for each in config.listeners]
    listed = counted(len(config.charger), "charger") if config.charger else "none"
    others = {"pending": "wait to be adopted", "accept": "are accepted", "reject": "are refused"}
    pairs.append(("chargers", f"{listed} in the file; others {others[config.chargers.unknown]}"))
    pairs.append(("uplink", "none: everything waits in the queue" if uplink is None else _uplink_words(uplink)))
    pairs += [("meter", f"{each.id}: {each.profile} at {each.connection}") for each in config.meters]
    pairs += [("circuit", f"{each.id}: {each.limit:g} A per phase (not enforced yet)") for each in config.circuits]
    pairs.append(("socket", str(config.api.socket)))
    return pairs


def _listener_words(listener: Listener) -> str:
    scheme = "ws" if listener.security_profile < 2 else "wss"
    address = f"{scheme}://{listener.host}:{listener.port}{listener.path.rstrip('/')}/IDENTITY"
    words = f"{address}, security profile {listener.security_profile}"
    for file in (listener.cert_file, listener.second_cert_file):
        if file is not None and listener.security_profile >= 2:
            own = read_certificates(file)[0]
            words += f", {own.key} certificate for {', '.join(own.hosts)} until {own.not_after:%Y-%m-%d}"
    return words


def _uplink_words(uplink: Uplink) -> str:
    address = f"{uplink.url.rstrip('/')}/{uplink.identity}"
    return f"{address}, OCPP {' or '.join(uplink.versions)}, security profile {uplink.security_profile}"
