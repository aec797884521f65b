"""The station's own configuration keys (1.6 §9), as the CSMS reads and changes them.

Only what this program does something with can be written. An accepted change is stored and wins over the file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge.domain.delivery import RetrySettings

MAX_KEYS = 100
Known = tuple[str, bool, str | None]
"""(Key, is read-only, value)."""


@dataclass(frozen=True, slots=True)
class _Writable:
    default: str
    least: int = 0
    is_boolean: bool = False

    def accepts(self, value: str) -> bool:
        if self.is_boolean:
            return value.lower() in {"true", "false"}
        return value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= self.least


_WRITABLE: Mapping[str, _Writable] = {
    "ClockAlignedDataInterval": _Writable("60"),
    "ConnectionTimeOut": _Writable("120", least=1),
    "HeartbeatInterval": _Writable("0"),  # 0: as BootNotification.conf said
    "StopTransactionOnInvalidId": _Writable("true", is_boolean=True),
    "TransactionMessageAttempts": _Writable("5", least=1),
    "TransactionMessageRetryInterval": _Writable("60"),
    "WebSocketPingInterval": _Writable("30"),
}

_READONLY: Mapping[str, str] = {
    "AuthorizeRemoteTxRequests": "false",
    "AuthorizationCacheEnabled": "true",
    "ConnectorPhaseRotation": "NotApplicable",
    "GetConfigurationMaxKeys": str(MAX_KEYS),
    "LocalPreAuthorize": "true",
    "MeterValuesAlignedData": "Energy.Active.Import.Register,Energy.Active.Export.Register,"
    "Power.Active.Import,Power.Active.Export,Current.Import",
    "ResetRetries": "0",
    "SupportedFeatureProfiles": "Core,FirmwareManagement,RemoteTrigger",
    "SupportedFileTransferProtocols": "FTPS,HTTPS",  # others only where firmware_bridge.sources allows them
}


_FROM_FILE = frozenset({"AllowOfflineTxForUnknownId", "LocalAuthorizeOffline"})


class Configuration:
    """The values in force. `offline` gives `[authorization] offline` of the file."""

    def __init__(self, changed: Mapping[str, str], offline: Callable[[], str], connectors: Callable[[], int]) -> None:
        self._values = {key: changed.get(key, writable.default) for key, writable in _WRITABLE.items()}
        self._changed = {key for key in changed if key in _WRITABLE}
        self._offline = offline
        self._connectors = connectors

    def _readonly(self) -> dict[str, str]:
        offline = self._offline()
        return {
            **_READONLY,
            "AllowOfflineTxForUnknownId": str(offline == "everyone").lower(),
            "LocalAuthorizeOffline": str(offline != "nobody").lower(),
            "NumberOfConnectors": str(self._connectors()),
        }

    def read(self, keys: Sequence[str] | None) -> tuple[list[Known], list[str]]:
        """The asked keys that we know, and those that we do not; None: all. Keys are compared without case (§3.2)."""
        everything: dict[str, Known] = {key: (key, True, value) for key, value in self._readonly().items()}
        everything |= {key: (key, False, value) for key, value in self._values.items()}
        if keys is None:
            return [everything[key] for key in sorted(everything)], []
        by_folded = {key.casefold(): known for key, known in everything.items()}
        asked = list(dict.fromkeys(keys))[:MAX_KEYS]
        return (
            [by_folded[key.casefold()] for key in asked if key.casefold() in by_folded],
            [key for key in asked if key.casefold() not in by_folded],
        )

    def judge(self, key: str, value: str) -> tuple[str, str | None]:
        """(ConfigurationStatus, our spelling of the key when it is Accepted)."""
        for name, writable in _WRITABLE.items():
            if name.casefold() == key.casefold():
                return ("Accepted", name) if writable.accepts(value) else ("Rejected", None)
        if key.casefold() in {name.casefold() for name in self._readonly()}:
            return "Rejected", None
        return "NotSupported", None

    def put(self, name: str, value: str) -> None:
        """A change that `judge` has accepted and the store has kept."""
        self._values[name] = value
        self._changed.add(name)

    def source(self, name: str) -> str:
        """Where the value in force is from: default, file, or changed (by the CSMS or on the spot)."""
        if name in self._changed:
            return "changed"
        return "file" if name in _FROM_FILE else "default"

    def seconds(self, name: str) -> float:
        return float(self._values[name])

    @property
    def retry(self) -> RetrySettings:
        return RetrySettings(
            int(self._values["TransactionMessageAttempts"]), float(self._values["TransactionMessageRetryInterval"])
        )

    @property
    def stops_on_invalid_id(self) -> bool:
        return self._values["StopTransactionOnInvalidId"].lower() == "true"
