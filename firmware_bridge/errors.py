"""What may fail in the bridge, told to whoever asked: a code for programs, a sentence for people."""


class BridgeError(Exception):
    """`code` is one word for programs; the message says what, which, and what to do next."""

    code = "failed"


class Refused(BridgeError):
    """It is not allowed, and asking again changes nothing."""

    code = "refused"


class Busy(BridgeError):
    """Too many ask at once: a moment later it is another matter."""

    code = "busy"


class Unusable(BridgeError):
    """What came is not what it should be: a wrong hash, a wrong signature, too large."""

    code = "unusable"


class Unreachable(BridgeError):
    """The other side does not answer, or not now: asking again may help."""

    code = "unreachable"


class Changed(Unreachable):
    """There is another version of it than the one of which a part has come: all of it must come again."""


class NoRoom(BridgeError):
    """The disk is full, or the share of it that the bridge may use."""

    code = "no_room"


class OverQuota(NoRoom):
    """More than this one may leave, or all together: other than with a full disk, less of it may do."""


class Unknown(BridgeError):
    """There is no such thing here."""

    code = "unknown"


class InvalidRequest(BridgeError):
    """A request that is no request of this interface."""

    code = "invalid_request"
