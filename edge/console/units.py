"""Times and quantities as people read them, and the times that people write. Local time out, UTC in."""

import re
from datetime import UTC, datetime, timedelta

from edge.console.document import UNKNOWN

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def since(written: str, now: datetime) -> datetime:
    """`90s 15m 2h 3d` before now, or an ISO 8601 time (local when it names no zone). Raises ValueError."""
    if match := re.fullmatch(r"(\d{1,9})([smhd])", written):
        try:
            return now - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        except OverflowError as error:
            raise ValueError("too long ago") from error
    return datetime.fromisoformat(written).astimezone(UTC)


def seconds(written: str) -> float:
    """`90s 15m 2h 3d`. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", written, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise ValueError(written)
    return float(int(match[1]) * _SECONDS[match[2]])


def iso(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def duration(seconds: float | None) -> str:
    """The two largest units: `0.4s`, `42s`, `2m 10s`, `3h`, `12d 4h`."""
    if seconds is None:
        return UNKNOWN
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f}s" if seconds % 1 else f"{seconds:.0f}s"
    rest = round(seconds)
    for unit, length, smaller in (("d", 86400, "h"), ("h", 3600, "m"), ("m", 60, "s")):
        if rest >= length:
            larger, rest = divmod(rest, length)
            rest //= _SECONDS[smaller]
            return f"{larger}{unit} {rest}{smaller}" if rest else f"{larger}{unit}"
    return f"{rest}s"


def between(start: datetime | None, end: datetime | None) -> str:
    return UNKNOWN if start is None or end is None else duration((end - start).total_seconds())


def moment(instant: datetime | None, now: datetime | None) -> str:
    """Local time, as short as it can be understood: today `08:02:11`, this year `21 Nov 08:02`, else `21 Nov 2025`."""
    if instant is None:
        return UNKNOWN
    local = instant.astimezone()
    today = now.astimezone() if now is not None else None
    if today is not None and local.date() == today.date():
        return f"{local:%H:%M:%S}"
    if today is not None and local.year == today.year:
        return f"{local.day} {local:%b %H:%M}"
    return f"{local.day} {local:%b %Y}"


def full_moment(instant: datetime | None) -> str:
    """`21 Nov 2026 08:02:11 CET`."""
    if instant is None:
        return UNKNOWN
    local = instant.astimezone()
    return f"{local.day} {local:%b %Y %H:%M:%S %Z}"


def offset(start: datetime, instant: datetime) -> str:
    """Time since the start of a timeline: `+00:04.120`, from one hour on `+01:12:40`."""
    milliseconds = round((instant - start).total_seconds() * 1000)
    sign = "+" if milliseconds >= 0 else "-"
    seconds, milliseconds = divmod(abs(milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{sign}{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}"


def energy(watt_hours: float | None) -> str:
    return UNKNOWN if watt_hours is None else f"{watt_hours / 1000:.2f} kWh"


def power(watts: float | None) -> str:
    if watts is None:
        return UNKNOWN
    return f"{watts:.0f} W" if abs(watts) < 1000 else f"{watts / 1000:.1f} kW"


def quantity(value: float | None, unit: str, digits: int = 1) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f} {unit}"


def counted(amount: int, one: str, many: str = "") -> str:
    """`1 message`, `3 messages`."""
    return f"{amount} {one if amount == 1 else many or one + 's'}"
