"""The configuration file as frozen values (`interface.md`, "Configuration file").

A path comes in, a `Config` goes out, or every problem in the file with line, key and what was expected.
Read on in `values.py` (what there is to configure) and `loading.py` (how the file is read).
"""

from edge.config.loading import check, load
from edge.config.problems import ConfigurationError, Problem
from edge.config.values import (
    Api,
    Authorization,
    ChargerDefaults,
    ChargerSettings,
    Circuit,
    Config,
    FirmwareBridge,
    FirmwareRule,
    Listener,
    Meter,
    Sessions,
    Site,
    StoreSettings,
    Uplink,
)

__all__ = [
    "Api",
    "Authorization",
    "ChargerDefaults",
    "ChargerSettings",
    "Circuit",
    "Config",
    "ConfigurationError",
    "FirmwareBridge",
    "FirmwareRule",
    "Listener",
    "Meter",
    "Problem",
    "Sessions",
    "Site",
    "StoreSettings",
    "Uplink",
    "check",
    "load",
]
