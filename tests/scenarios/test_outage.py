"""Sessions that begin and end while the CSMS is away, and a daemon that is killed in between."""

import asyncio
import contextlib

from simulators.charger import Charger
from simulators.csms import Csms

from tests.scenarios.apart import apart, values
from tests.scenarios.site import IDENTITY, DaemonProcess, free_port

TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction")


def toml(port: int, csms_url: str, chargers: int = 3, store: str = "edge.db") -> str:
    listed = "".join(f'[[charger]]\nid = "CP-0{number}"\nevses = [1, 1]\n' for number in range(1, chargers + 1))
    return f"""
[site]
id = "{IDENTITY}"
[store]
path = "{store}"
[[listener]]
address = "127.0.0.1:{port}"
security_profile = 0
{listed}
[uplink]
url = "{csms_url}"
identity = "{IDENTITY}"
security_profile = 0
[authorization]
offline = "everyone"
[api]
socket = "edge.sock"
"""


async def charge(charger: Charger, connector: int, tag: str, values: int = 3) -> None:
    """A session from plug to unplug; every message answered by the controller."""
    await charger.plug_in(connector)
    await charger.start_session(connector, tag, authorize=False)
    for _ in range(values):
        charger.add_energy(connector, 1000)
        await charger.send_meter_values(connector)
    await charger.stop_session(connector)
    await charger.unplug(connector)


def upstream_of(charger: Charger, connector: int) -> int:
    return 2 * (int(charger.identity[-1]) - 1) + connector


def assert_cloud_has_what_was_sent(csms: Csms, chargers: list[Charger], *, repeats_allowed: bool) -> None:
    """Complete, in order, on its own connector, with the cloud's ids, payloads otherwise equal."""
    for charger in chargers:
        for connector in charger.outlets:
            upstream = upstream_of(charger, connector)
            got = [call for call in apart(csms.received) if call.action in TRANSACTION and call.connector == upstream]
            if repeats_allowed:
                unique = []
                for call in got:
                    same = [other for other in unique if is_repeat(csms, other, call)]
                    if not same:
                        unique.append(call)
                    elif same[0].answer is None:  # it could not be answered any more; the repeat was
                        unique[unique.index(same[0])] = call
                got = unique
            sent = [one for one in charger.sent if one.connector == connector]
            assert [call.action for call in got] == [one.action for one in sent], f"connector {upstream}"
            csms_id = None
            for call, one in zip(got, sent, strict=True):
                if call.action == "StartTransaction":
                    csms_id = call.answer["transactionId"]
                expected = dict(one.payload)
                if "connectorId" in expected:
                    expected["connectorId"] = upstream
                if "transactionId" in expected:
                    expected["transactionId"] = csms_id
                assert call.payload == expected


def is_repeat(csms: Csms, earlier, later) -> bool:
    return earlier.action == later.action and earlier.payload == later.payload and earlier.connector == later.connector


async def test_nothing_is_lost_when_the_daemon_is_killed_during_an_outage(folder):
    async with Csms(dedupe=True, first_transaction_id=700) as csms, contextlib.AsyncExitStack() as stack:
        port = free_port()
        daemon = DaemonProcess(folder, toml(port, csms.url))
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        chargers = [
            Charger(f"CP-0{number}", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, reconnect_s=(0.1, 0.5))
            for number in (1, 2, 3)
        ]
        for charger in chargers:
            await stack.enter_async_context(charger.running())
            await charger.wait_for(lambda charger=charger: charger.is_ready)
        await csms.wait_registered(IDENTITY)
        # One session each whose start the cloud knows already when the uplink is cut.
        for charger in chargers:
            await charger.plug_in(1)
            await charger.start_session(1, "BEFORE", authorize=False)
            await charger.send_meter_values(1)
        await csms.wait_for(lambda: len(csms.calls("MeterValues")) == 3)

        csms.refuse_connections(True)
        csms.cut()
        await daemon.until("status", lambda d: d["uplink"]["state"] != "accepted")
        async with asyncio.TaskGroup() as tasks:
            for charger in chargers:
                tasks.create_task(charge(charger, 2, "DURING"))
        for charger in chargers:
            await charger.send_meter_values(1)
            await charger.stop_session(1)
        # A message that is on its way when the daemon dies.
        chargers[0].begin_session(2, "AT-THE-KILL")
        await daemon.kill()
        await daemon.start()
        for charger in chargers:
            await charger.wait_drained()
        await charge(chargers[1], 1, "AFTER")
        chargers[0].end_session(2)
        await chargers[0].wait_drained()
        backlog = (await daemon.ask("status"))["backlog"]
        waiting = sum(len(charger.sent) for charger in chargers) - 6
        # The acknowledgement of a meter value rides for up to 10 s; the kill may have lost the three last ones.
        assert waiting <= backlog["messages"] <= waiting + 3

        csms.refuse_connections(False)
        await daemon.until("status", lambda d: d["uplink"]["state"] == "accepted" and d["backlog"]["messages"] == 0)
        assert all(one.answered for charger in chargers for one in charger.sent)
        assert_cloud_has_what_was_sent(csms, chargers, repeats_allowed=True)
        assert csms.violations == []


async def test_a_kill_at_the_first_answers_repeats_only_equal_messages(folder):
    """The daemon dies while the queue drains: what the cloud got twice is equal, and nothing is missing."""
    async with Csms(first_transaction_id=10) as csms, contextlib.AsyncExitStack() as stack:
        port = free_port()
        daemon = DaemonProcess(folder, toml(port, csms.url))
        csms.refuse_connections(True)
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        chargers = [
            Charger(f"CP-0{number}", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, reconnect_s=(0.1, 0.5))
            for number in (1, 2, 3)
        ]
        for charger in chargers:
            await stack.enter_async_context(charger.running())
            await charger.wait_for(lambda charger=charger: charger.is_ready)
        async with asyncio.TaskGroup() as tasks:
            for charger in chargers:
                for connector in (1, 2):
                    tasks.create_task(charge(charger, connector, f"T{connector}", values=5))
        csms.delay(None, 0.01, times=None)
        csms.refuse_connections(False)
        for count in (4, 12, 25):
            await csms.wait_for(lambda count=count: len(values(csms)) >= count, 30)
            await daemon.kill()
            await daemon.start()
        await daemon.until("status", lambda d: d["backlog"]["messages"] == 0)
        by_connector = {}
        for call in apart(csms.received):
            if call.action in TRANSACTION and call.connector is not None:
                by_connector.setdefault(call.connector, []).append(call)
        for charger in chargers:
            for connector in (1, 2):
                calls = by_connector[upstream_of(charger, connector)]
                sent = [one for one in charger.sent if one.connector == connector]
                without_repeats = []
                for call in calls:
                    if not any(is_repeat(csms, other, call) for other in without_repeats):
                        without_repeats.append(call)
                assert [call.action for call in without_repeats] == [one.action for one in sent]
