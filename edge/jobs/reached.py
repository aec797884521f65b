"""By which addresses a charger and we reach each other: the bridge serves it where it has connected to us."""

from typing import Protocol


class Reached(Protocol):
    """A charger's connection, as far as addresses are concerned."""

    @property
    def address(self) -> str: ...

    @property
    def our_address(self) -> str: ...


def host(address: str) -> str:
    """Without the port; an address of IPv4 that IPv6 only wraps is one of IPv4."""
    return address.rpartition(":")[0].removeprefix("::ffff:")
