"""Misbehaviour of the simulated cloud, as data: what to do, to which CALLs, how often.

`Csms.refuse`, `be_silent`, `delay`, … add a `Hook`; each CALL that arrives takes at most one effect of each
kind, that of the oldest hook which wants it. What the effects mean stands in `csms.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from simulators.ledger import Received
from simulators.wire import Payload

Predicate: TypeAlias = Callable[[Received], bool]
Callback: TypeAlias = Callable[[Received], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Refuse:
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class BeSilent:
    pass


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    pass


@dataclass(frozen=True, slots=True)
class AnswerWith:
    payload: Payload


@dataclass(frozen=True, slots=True)
class Delay:
    seconds: float


@dataclass(frozen=True, slots=True)
class AfterAnswer:
    callback: Callback


Effect: TypeAlias = Refuse | BeSilent | LoseAnswer | AnswerWith | Delay | AfterAnswer


@dataclass(slots=True)
class Hook:
    """`action` None is any action, `times` None is for ever, `when` None is always."""

    effect: Effect
    action: str | None
    times: int | None
    when: Predicate | None

    def wants(self, received: Received) -> bool:
        return self.action in (None, received.action) and (self.when is None or self.when(received))


@dataclass(slots=True)
class Effects:
    """What the hooks want done with one CALL."""

    refuse: Refuse | None = None
    be_silent: BeSilent | None = None
    lose_answer: LoseAnswer | None = None
    answer_with: AnswerWith | None = None
    delay: Delay | None = None
    after_answer: AfterAnswer | None = None


_SLOTS: dict[type[Effect], str] = {
    Refuse: "refuse",
    BeSilent: "be_silent",
    LoseAnswer: "lose_answer",
    AnswerWith: "answer_with",
    Delay: "delay",
    AfterAnswer: "after_answer",
}


@dataclass(slots=True)
class Hooks:
    _hooks: list[Hook] = field(default_factory=list)

    def add(self, effect: Effect, action: str | None, times: int | None, when: Predicate | None) -> None:
        self._hooks.append(Hook(effect, action, times, when))

    def clear(self) -> None:
        self._hooks.clear()

    def take(self, received: Received) -> Effects:
        """The effects on this CALL; what was taken is used up."""
        effects = Effects()
        for hook in self._hooks:
            slot = _SLOTS[type(hook.effect)]
            if getattr(effects, slot) is None and hook.wants(received):
                setattr(effects, slot, hook.effect)
                hook.times = None if hook.times is None else hook.times - 1
        self._hooks = [hook for hook in self._hooks if hook.times != 0]
        return effects
