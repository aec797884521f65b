"""How much of something, on a command line: nothing of it, and what is no number, is wrong usage."""

import argparse
import math
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    """A whole number, this or more."""

    def read(written: str) -> int:
        try:
            number = int(written)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{written!r}, but it must be a whole number, {least} or more")
        return number

    return read


def positive(written: str) -> float:
    """More than nothing, and not without end."""
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{written!r}, but it must be a number, more than 0")
    return number
