"""What the tests of register maps are made of."""

from edge.site.registers import Group, MeterProfile, RegisterType, Value
from edge.site.requests import plan


def profile(*values: Value, **more: object) -> MeterProfile:
    return MeterProfile("m", "v", (), "unverified", 3, values, **more)  # type: ignore[arg-type]


def value(name: str, address: int, kind: str = "f32", **more: object) -> Value:
    return Value(name, address, RegisterType(kind), more.pop("fc", 4), **more)  # type: ignore[arg-type]


def alone(kind: str, **more: object):
    """The block that reads one value of that type."""
    (block,) = plan(profile(value("u1", 10, kind, **more)))[Group.FAST]
    return block
