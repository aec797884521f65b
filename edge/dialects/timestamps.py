"""Times as OCPP writes them."""

from datetime import UTC, datetime
from functools import lru_cache

from edge.jsontypes import JsonValue


def parse(value: JsonValue) -> datetime | None:
    """An aware UTC instant, or None when the text is not one. A text without a zone is read as UTC.

    Accepts any ISO 8601 form seen in the field: offsets, seven and more fraction digits, a blank instead of the T.
    """
    return _parsed(value) if isinstance(value, str) and len(value) <= 40 else None


@lru_cache(maxsize=256)
def _parsed(value: str) -> datetime | None:
    """Each time in a message is read three times: by what it means, by what is odd about it, by what it follows."""
    text = value.strip().upper()
    try:
        instant = datetime.fromisoformat(text)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant if instant.year < 9000 else None


def text(instant: datetime) -> str:
    """`2026-11-21T09:00:00.123Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
