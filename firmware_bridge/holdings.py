"""What the bridge has for chargers and for those who ask on its socket: handed around as one."""

from dataclasses import dataclass

from firmware_bridge.files import Files
from firmware_bridge.tickets import Tickets
from firmware_bridge.transfers import Transfers
from firmware_bridge.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Holdings:
    tickets: Tickets
    files: Files
    transfers: Transfers
    uploads: Uploads
