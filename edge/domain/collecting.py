"""A collection of diagnostics: what a charger's words and its file mean for it, and when it is over.

Some chargers never say that they have uploaded, some say it and send nothing, a second request may stay without any
word (ocpp-rules.md H.7, J.2): so the file itself counts, and silence has an end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edge.domain.station_jobs import LogKind
from edge.jsontypes import JsonValue, Payload

MOST_REQUESTS = 2
PATIENCE_MS = 10 * 60_000
"""Without a new word or a byte, after which a charger is given up."""
STABLE_MS = 10_000
"""A whole file to which nothing has been added for so long is the one."""


class Step(StrEnum):
    WAITING = "waiting"
    ASKED = "asked"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    NOTHING = "nothing"
    """It has none."""
    FAILED = "failed"

    @property
    def is_under_way(self) -> bool:
        return self in {Step.ASKED, Step.UPLOADING}

    @property
    def is_final(self) -> bool:
        return self in {Step.UPLOADED, Step.NOTHING, Step.FAILED}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one charger is."""

    step: Step
    since_ms: int
    """When it last said something of it, or a byte came."""
    file_name: str | None = None
    """That it announced."""
    why: str | None = None
    requests: int = 0
    """To it: after a failed upload it is asked once more, for another protocol (ocpp-rules.md H.7)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be collected. Times in milliseconds since 1970, None: all there is."""

    since_ms: int | None = None
    until_ms: int | None = None
    location: str | None = None
    """Where to the archive goes; None: it is kept for a technician."""
    name: str | None = None
    """Of the archive."""
    kind: LogKind = LogKind.DIAGNOSTICS
    request_id: int | None = None
    """Of the CSMS, where its request had one."""


def as_json(wish: Wish) -> Payload:
    return {
        "since_ms": wish.since_ms,
        "until_ms": wish.until_ms,
        "location": wish.location,
        "name": wish.name,
        "kind": wish.kind,
        "request_id": wish.request_id,
    }


def from_json(found: Payload) -> Wish:
    """What `as_json` wrote."""
    return Wish(
        _integer(found.get("since_ms")),
        _integer(found.get("until_ms")),
        _text(found.get("location")),
        _text(found.get("name")),
        LogKind(_text(found.get("kind")) or LogKind.DIAGNOSTICS),
        _integer(found.get("request_id")),
    )


def _integer(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def after_answer(progress: Progress, file_name: str | None, at_ms: int) -> Progress:
    """After GetDiagnostics.conf (1.6 §6.26): without a file name there is nothing."""
    if progress.step is not Step.ASKED:
        return progress  # its first status was faster
    if file_name is None:
        return replace(progress, step=Step.NOTHING, since_ms=at_ms, why="it has no diagnostics")
    return replace(progress, since_ms=at_ms, file_name=file_name)


def after_status(progress: Progress, status: str, at_ms: int) -> Progress:
    """After a DiagnosticsStatus of 1.6, or an UploadLogStatus of its security extension.

    `Uploaded` is believed when the file is there (`after_file`).
    """
    if not progress.step.is_under_way:
        return progress
    match status:
        case "Uploading" | "Uploaded" if progress.step is Step.UPLOADING:
            return progress  # some say it without end (H.7): from here on only bytes count
        case "Uploading" | "Uploaded":
            return replace(progress, step=Step.UPLOADING, since_ms=at_ms)
        case "UploadFailed" | "UploadFailure" | "BadMessage" | "NotSupportedOperation" | "PermissionDenied":
            step = Step.WAITING if progress.requests < MOST_REQUESTS else Step.FAILED
            return replace(progress, step=step, since_ms=at_ms, why=f"it could not upload the file ({status})")
        case _:
            return progress


def after_file(
    progress: Progress, whole_since_ms: int | None, heard_ms: int | None, silent_since_ms: int, now_ms: int
) -> Progress:
    """After a look at what has come: since when a whole file lies there, when the last byte came.

    `silent_since_ms`: from when on the silence of a charger counts that was last heard at `progress.since_ms`.
    """
    if not progress.step.is_under_way:
        return progress
    if whole_since_ms is not None and now_ms - whole_since_ms >= STABLE_MS:
        return replace(progress, step=Step.UPLOADED, since_ms=now_ms, why=None)
    if heard_ms is not None:
        return replace(progress, step=Step.UPLOADING, since_ms=heard_ms)
    if now_ms - silent_since_ms >= PATIENCE_MS:
        minutes = PATIENCE_MS // 60_000
        return replace(progress, step=Step.FAILED, since_ms=now_ms, why=f"nothing has come for {minutes} minutes")
    return progress


def is_over(steps: Sequence[Step]) -> bool:
    return all(step.is_final for step in steps)
