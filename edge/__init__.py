"""ocpp-edge: the local controller for charger clusters in depots and fleet yards."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up when asked for: importlib.metadata would double the start time of the command line."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ocpp-edge")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+source"
