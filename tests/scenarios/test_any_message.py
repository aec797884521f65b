"""Whatever a charger says: nothing raises, and each CALL is answered with its row stored or refused with its text kept.

The daemon lives through all examples of a test; each example is a charger of its own. Through real sockets, because
what is to be shown is the whole way: WebSocket, frames, repair, schema, tolerances, store, views, uplink.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulators.csms import Csms

from tests.dialects.payloads import any_json, any_payload, flawed_payload, valid_payload
from tests.ocppj.corpus import schema
from tests.scenarios.failures import no_failure
from tests.scenarios.field import Raw, raw
from tests.scenarios.site import ChargerSettings, Site, configuration
from tests.simulation.world import folder_in_memory

BILLING = ("StartTransaction", "StopTransaction", "MeterValues")
# More than are asked for: while Hypothesis makes a failing example small, it takes hundreds more.
MOST_EXAMPLES = 1_000
MANY = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
NOT_JSON = [
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 30,
    "",
    ",",
    "'x'",
    "\x00",
    '"\\ud800"',
    '"\\u0000"',
    "[" * 40 + "]" * 40,
]


def members_of(action: str):
    """Anything in place of each member."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(schema("1.6", action)["properties"], any_json))


def payload_text(action: str):
    """The payload's JSON, or what looks like it."""
    whole = st.one_of(valid_payload(action), flawed_payload(action), members_of(action), any_payload).map(json.dumps)
    key = st.sampled_from(sorted(schema("1.6", action)["properties"]))
    return st.one_of(
        whole,
        st.builds(lambda text, name, value: f'{{"{name}":{value},{text[1:]}', whole, key, st.sampled_from(NOT_JSON)),
        st.builds(lambda text, name: f'{{"{name}":1,"{name}":2,{text[1:]}', whole, key),
        st.builds(lambda text, cut: text[: cut % (len(text) + 1)], whole, st.integers(0, 500)),
        st.builds(lambda text, at, more: text[: at % len(text)] + more + text[at % len(text) :], whole,
                  st.integers(0, 500), st.sampled_from(list('{}[],:"\\ \t\n7'))),
    )  # fmt: skip


ACTIONS = st.sampled_from([*BILLING * 3, "StatusNotification", "BootNotification", "Authorize", "DataTransfer"])
CALLS = ACTIONS.flatmap(lambda action: st.tuples(st.just(action), payload_text(action)))
CONVERSATIONS = st.lists(CALLS, min_size=1, max_size=5)


class Living:
    """A site that lives on a loop of its own, so that examples may come and go."""

    def __init__(self, runner: asyncio.Runner, site: Site, csms: Csms | None, names: Iterator[str]) -> None:
        self.runner = runner
        self.site = site
        self.csms = csms
        self.names = names

    def play(self, example) -> None:
        self.runner.run(example(self.site, next(self.names)))


@contextlib.contextmanager
def living(*, has_cloud: bool):
    """With none of the log's lines telling of an error at its end."""
    with folder_in_memory() as folder, asyncio.Runner() as runner:
        ending, csms = asyncio.Event(), Csms() if has_cloud else None

        async def begin():
            names = [f"C{number}" for number in range(MOST_EXAMPLES)] if has_cloud else []
            if csms is not None:
                csms.refuses_malformed = False
                await csms.start()
            config = configuration(
                folder,
                unknown="accept",
                csms_url=None if csms is None else csms.url,
                chargers=tuple(ChargerSettings(name, evses=(1, 1)) for name in names),
            )
            stack = contextlib.AsyncExitStack()
            stack.enter_context(no_failure())
            site = await stack.enter_async_context(Site(config).running())
            return stack, Living(runner, site, csms, iter(names) if has_cloud else (f"N{one}" for one in count()))

        async def end(stack):
            await stack.aclose()
            if csms is not None:
                await csms.stop()

        stack, life = runner.run(begin())
        try:
            yield life
        finally:
            ending.set()
            runner.run(end(stack))
    assert threading.active_count() < 20


async def say_all(charger: Raw, messages) -> list[tuple[str, str, list]]:
    """(Action, text, answer) of each; afterwards the charger is still served."""
    said = []
    for number, (action, payload) in enumerate(messages):
        text = f'[2,"m{number}","{action}",{payload}]'
        said.append((action, text, await charger.say(text)))
    await charger.call("Heartbeat", {})
    return said


def test_each_call_whatever_it_holds_is_stored_or_refused_and_kept():
    with living(has_cloud=False) as life:

        @settings(max_examples=150, **MANY)
        @given(CONVERSATIONS)
        def whatever_it_holds(messages):
            async def example(site, name):
                async with raw(site, name) as charger:
                    said = await say_all(charger, messages)
                trace = (await site.ask("trace", subject=name, raw=True))["entries"]
                kept = {
                    entry["text"]: entry["id"]
                    for entry in trace
                    if (entry["peer"], entry["direction"]) == ("charger", "in")
                }
                as_said = [json.loads(text)[3] for text in kept if is_json(text)]
                answers = {entry["cause"]: entry["text"] for entry in trace if entry["direction"] == "out"}
                stored = [_timeless(json.loads(text)[3]) for text in kept if is_json(text)]
                for action, text, answer in said:
                    if text in kept:
                        told = answers.get(kept[text])
                        assert told is None or json.loads(told) == answer
                    else:
                        # Said before, in other words: counted instead of stored.
                        assert answer[0] == 3, text
                        assert action in ("StatusNotification", *BILLING)
                        assert _timeless(json.loads(text)[3]) in stored
                        assert action == "StatusNotification" or json.loads(text)[3] in as_said
                for command, args in (
                    ("sessions", {"charger": name}),
                    ("chargers", {"charger": name}),
                    ("status", {}),
                    ("queue", {}),
                ):
                    assert "error" not in await site.ask(command, **args)
                for session in (await site.ask("sessions", charger=name))["sessions"]:
                    assert "error" not in await site.ask("session", session=session["session"])

            life.play(example)

        whatever_it_holds()


def is_json(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(text), list) and len(json.loads(text)) > 3
    return False


def test_each_start_and_stop_that_was_accepted_reaches_the_cloud_as_it_came_or_is_shown():
    with living(has_cloud=True) as life:

        @settings(max_examples=60, **MANY)
        @given(CONVERSATIONS)
        def whatever_it_holds(messages):
            async def example(site, name):
                before = len(life.csms.received)
                async with raw(site, name) as charger:
                    said = await say_all(charger, messages)
                await site.until("status", lambda d: d["backlog"]["messages"] == 0)
                in_cloud = [_without_ids(one.payload) for one in life.csms.received[before:]]
                trace = (await site.ask("trace", subject=name, raw=True))["entries"]
                summaries = {entry["text"]: entry["summary"] for entry in trace}
                parked = {one["seq"] for one in (await site.ask("queue"))["entries"]}
                seqs = {entry["text"]: entry["seq"] for entry in trace}
                for action, text, answer in said:
                    if answer[0] != 3 or action not in ("StartTransaction", "StopTransaction") or text not in summaries:
                        continue
                    is_kept_here = "duplicate_stop" in summaries[text] or seqs[text] in parked
                    assert is_kept_here or _without_ids(json.loads(text)[3]) in in_cloud, text

            life.play(example)

        whatever_it_holds()


def _without_ids(payload: dict) -> dict:
    return {key: value for key, value in payload.items() if key.casefold() not in {"connectorid", "transactionid"}}


def _timeless(payload: dict) -> dict:
    return {key: value for key, value in payload.items() if key != "timestamp"}
