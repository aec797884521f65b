"""How a rollout has ended, and why."""

from dataclasses import dataclass

from edge.domain.rollouts import Step
from edge.store import Connection, rollouts


@dataclass(frozen=True, slots=True)
class NoFile:
    """The bridge cannot bring it."""

    why: str | None
    code: str | None
    """For programs (`firmware_bridge.errors`)."""


def end(db: Connection, rollout_no: int, no_file: NoFile | None, now_ms: int) -> tuple[str, str | None]:
    """Note it; its state and why."""
    state, why = _outcome(db, rollout_no, no_file)
    rollouts.end(db, rollout_no, state, why, now_ms, None if no_file is None else no_file.code)
    return state, why


def _outcome(db: Connection, rollout_no: int, no_file: NoFile | None) -> tuple[str, str | None]:
    rollout = rollouts.load(db, rollout_no)
    if rollout is not None and rollout.state == rollouts.ABORTED:
        return rollouts.ABORTED, None
    if no_file is not None:
        return rollouts.FAILED, no_file.why
    parts = rollouts.parts(db, rollout_no)
    failed = [part.charger for part in parts if part.progress.step is Step.FAILED]
    if not failed:
        return rollouts.DONE, None
    left = sum(part.progress.step is Step.WAITING for part in parts)
    return rollouts.FAILED, f"failed: {', '.join(failed)}" + (f"; {left} were not asked" if left else "")
