"""What JSON can hold. The one leaf that every package may import."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
Payload: TypeAlias = Mapping[str, JsonValue]
