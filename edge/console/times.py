"""Times and numbers as the JSON of interface.md writes them."""

from datetime import UTC, datetime

from edge.dialects import timestamps


def time(instant: datetime) -> str:
    return timestamps.text(instant)


def time_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else timestamps.text(instant)


def time_ms(wall_ms: int | None) -> str | None:
    return None if wall_ms is None else timestamps.text(datetime.fromtimestamp(wall_ms / 1000, UTC))


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
