"""Entry: `tools/bench` runs this folder with the environment's Python."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

if __name__ == "__main__":
    try:
        from benchmarks.program import main

        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
