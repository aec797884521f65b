"""The targets, and how many inputs each gets when everything is proven: a million together.

pytest feeds each slice in a test of its own; `tools/fuzz` feeds pieces of any size, several side by side.
"""

from dataclasses import dataclass

from tests.hostile.fuzzing import Figures, Target, fuzz
from tests.hostile.targets import doors, files, frames, handshakes, lines, messages, requests, rtu

AT_LEAST = 1_000_000


@dataclass(frozen=True, slots=True)
class Share:
    target: Target
    what: str
    """The input, in a few words."""
    inputs: int
    """In each slice."""
    slices: int
    """So that the cores share it evenly: each some seconds long, with a seed of its own."""


PLAN = (
    Share(frames.CHARGER, "what a charger sends, one text at a time", 75_000, 4),
    Share(frames.CSMS, "what a cloud sends, one text at a time", 100_000, 2),
    Share(handshakes.HANDSHAKES, "the HTTP request of a charger that connects", 75_000, 2),
    Share(rtu.RTU, "what is heard on an RS-485 line", 125_000, 2),
    Share(lines.TCP, "what a meter answers over Modbus TCP", 25_000, 2),
    Share(lines.GATEWAY, "what a meter answers through a gateway", 40_000, 1),
    Share(files.CONFIGURATION, "the configuration file", 1_000, 6),
    Share(messages.CHARGER, "what a charger says to the running daemon", 6_000, 6),
    Share(messages.CSMS, "what a cloud says to the running daemon", 6_000, 4),
    Share(requests.CONSOLE, "what a client says to the local API", 6_000, 2),
    Share(doors.DOORS, "what a stranger says to a listener", 6_000, 2),
)
TARGETS = {share.target.name: share.target for share in PLAN}
SLICES = [(share, seed) for share in PLAN for seed in range(1, share.slices + 1)]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a piece; findings in words, which travel between processes."""

    figures: Figures
    findings: list[str]


@dataclass(frozen=True, slots=True)
class Piece:
    """So many inputs of a target, from this batch of the seed on."""

    target: str
    seed: int
    first_batch: int
    inputs: int

    def feed(self) -> Done:
        result = fuzz(TARGETS[self.target], self.seed, self.inputs, first_batch=self.first_batch)
        return Done(result.figures, [str(finding) for finding in result.findings])
