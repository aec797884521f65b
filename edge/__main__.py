"""The program `edge`, also as `python -m edge`."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.console import cli
from edge.jsontypes import Payload

if TYPE_CHECKING:
    from edge.config.metering import MeterModel


def main() -> int:
    return cli.main(sys.argv[1:], cli.HandedIn(run_daemon, read_profile, probe_here))


def run_daemon(config_path: str) -> int:
    """`edge run`. The daemon is loaded only here, so that the other commands answer at once."""
    from pathlib import Path

    from edge.process import main as run

    return run(Path(config_path))


def read_profile(name_or_path: str) -> "MeterModel":
    """What `edge check` has to know of a meter profile."""
    from edge.site.profiles import meter_model

    return meter_model(name_or_path)


def probe_here(args: Payload, tell: Callable[[str], None]) -> Payload:
    """`edge meter probe` where no daemon reads the line."""
    from edge.probing import probe_here as probe
    from edge.world import SystemClock

    return probe(args, SystemClock(), tell)


if __name__ == "__main__":
    sys.exit(main())
