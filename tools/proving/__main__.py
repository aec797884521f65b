"""Entry: `tools/prove` runs this folder with the environment's Python."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    sys.path[:1] = [str(ROOT), str(ROOT / "tools")]
    try:
        from proving.program import main

        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
