"""How a simulated run fails, and which calls of an event loop have no place in it."""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

Loop = TypeVar("Loop", bound=type)

NEED_A_MACHINE = (
    *("run_in_executor", "set_default_executor", "add_signal_handler", "remove_signal_handler"),
    *("subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe", "create_datagram_endpoint"),
    *("add_reader", "remove_reader", "add_writer", "remove_writer", "start_tls", "sendfile", "connect_accepted_socket"),
    *("sock_recv", "sock_recv_into", "sock_sendall", "sock_connect", "sock_accept", "sock_sendfile"),
)


class Deadlock(RuntimeError):
    """Nothing is ready and nothing is scheduled: the simulated world would stand still for ever."""


class RanTooLong(RuntimeError):
    """A bound on virtual time or on steps was passed."""


class NotSimulated(RuntimeError):
    """Something below the seam asked for what virtual time cannot give: a thread, a signal, a file descriptor."""


class Unhandled(RuntimeError):
    """An exception that nobody was there to catch: a callback's, or that of a task nobody awaited."""


def refuse_what_needs_a_machine(loop: Loop) -> Loop:
    """Makes threads, signals, processes, pipes, file descriptors and TLS fail with their name."""
    for name in NEED_A_MACHINE:
        setattr(loop, name, _refusing(name))
    return loop


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*_arguments: Any, **_options: Any) -> NoReturn:
        raise NotSimulated(f"loop.{name} has no place on virtual time; what needs it belongs into edge.world")

    return refuse
