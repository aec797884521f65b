"""The program `edge`, also as `python -m edge`."""

import sys

from edge.console import cli


def main() -> int:
    return cli.main(sys.argv[1:], run_daemon)


def run_daemon(config_path: str) -> int:
    """`edge run`. The daemon is loaded only here, so that the other commands answer at once."""
    from pathlib import Path

    from edge.process import main as run

    return run(Path(config_path))


if __name__ == "__main__":
    sys.exit(main())
