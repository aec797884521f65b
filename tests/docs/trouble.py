"""What goes wrong in the scenes of docs/operation.md. Each returns when it can be seen."""

import asyncio
import contextlib
import os
import sqlite3
import ssl
import sys
from base64 import b64encode
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.docs.depot import IDENTITY, Depot
from tests.docs.scenery import (
    KEY,
    PLAIN,
    TOKEN,
    a_depot_in_operation,
    has_alarm,
    is_told_to_come_again,
    knocks,
    write_key,
)
from tests.scenarios.test_control_only import put_in_its_way
from tests.scenarios.test_salvage import lose_first_page
from tests.tls.authority import NOW, Authority

STRICT = {"TransactionMessageAttempts": "1", "TransactionMessageRetryInterval": "0"}


# --- the cloud


async def the_uplink_goes(depot: Depot) -> None:
    depot.csms.refuse_connections()
    depot.csms.cut()
    await has_alarm(depot, "uplink_down")


async def the_uplink_is_back(depot: Depot) -> None:
    depot.csms.refuse_connections(False)
    await depot.caught_up()


async def a_car_charges_and_leaves(depot: Depot, identity: str) -> None:
    """Also while the cloud is away."""
    charger = depot.chargers[identity]
    depot.earlier = timedelta(minutes=20)
    await charger.start_session(1, TOKEN)
    charger.add_energy(1, 3000)
    depot.earlier = timedelta(0)
    await charger.send_meter_values(1)
    await charger.stop_session(1)
    await charger.unplug(1)


async def the_cloud_refuses_the_start_of_a_session_at(depot: Depot, identity: str) -> None:
    """For good, so that it is parked."""
    for key, value in STRICT.items():
        await depot.csms.call(IDENTITY, "ChangeConfiguration", {"key": key, "value": value})
    depot.csms.refuse(
        "StartTransaction", "PropertyConstraintViolation", times=None, description="idTag is not known here"
    )
    await a_car_charges_and_leaves(depot, identity)
    await has_alarm(depot, "message_parked")


async def the_cloud_has_been_mended(depot: Depot) -> None:
    depot.csms.behave()


async def the_parked_message(depot: Depot) -> int:
    """Its number."""
    found = await depot.running.until("queue", lambda d: [one for one in d["entries"] if one["state"] == "parked"])
    return found[0]["seq"]


async def the_clouds_password_is_another_one(depot: Depot) -> None:
    depot.csms.password = b"another-password-of-the-cloud"
    depot.csms.cut()
    await depot.running.until("uplink", lambda d: "401" in (d["uplink"]["last_error"] or ""))


# --- chargers


async def comes_with_a_wrong_password(depot: Depot, identity: str) -> None:
    charger = depot.chargers[identity]
    await charger.disconnect()
    charger.password = b"wrong-wrong-wrong-16"
    with contextlib.suppress(TimeoutError):
        await charger.connect(timeout_s=1)
    await depot.running.until("chargers", lambda d: any(one["refused_because"] for one in d["chargers"]))


async def is_switched_off(depot: Depot, identity: str) -> None:
    await depot.chargers[identity].disconnect()
    await depot.running.until(
        "chargers", lambda d: [one for one in d["chargers"] if (one["id"], one["state"]) == (identity, "offline")]
    )


async def says_a_time_of_the_year_1970(depot: Depot, identity: str) -> None:
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "1970-01-01T00:03:12Z"}
    await depot.chargers[identity].ask("StatusNotification", status)


async def stops_a_transaction_that_nobody_began(depot: Depot, identity: str) -> None:
    stop = {"transactionId": 4711, "meterStop": 51_234, "timestamp": "2026-11-21T03:12:08Z", "idTag": "04FFEE11"}
    await depot.chargers[identity].ask("StopTransaction", stop)


async def two_devices_call_themselves(depot: Depot, identity: str) -> None:
    """They throw each other out."""
    await depot.chargers[identity].disconnect()
    header = {"Authorization": "Basic " + b64encode(identity.encode() + b":" + KEY).decode()}
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(9):
            await stack.enter_async_context(
                connect(f"{depot.url}/{identity}", subprotocols=["ocpp1.6"], proxy=None, additional_headers=header)
            )
    await has_alarm(depot, "identity_shared")


# --- meters


async def the_meter_is_unplugged(depot: Depot) -> None:
    depot.meter.silent()
    await has_alarm(depot, "meter_silent")


async def the_meter_is_back(depot: Depot) -> None:
    depot.meter.silent(False)
    await depot.running.until("meter", lambda d: d["meters"][0]["quality"] == "good")


# --- the gateway


async def a_depot_with_an_adopted_charger(depot: Depot) -> None:
    await a_depot_in_operation(depot)
    await knocks(depot, "CP-07")
    await depot.running.ask("adopt", charger="CP-07")
    await is_told_to_come_again(depot, "CP-07")


async def a_depot_with_a_small_store(depot: Depot) -> None:
    await a_depot_in_operation(depot, more="\n[store]\nmax_size_mb = 1\n")


async def the_store_fills(depot: Depot) -> None:
    """To three quarters, in an outage, with values that wait for the cloud."""
    await the_uplink_goes(depot)
    charger = depot.chargers["CP-01"]
    sampled = {"value": "230.1", "measurand": "Voltage", "location": "Outlet", "unit": "V"}
    values = {"connectorId": 1, "transactionId": charger.outlets[1].session.transaction_id}
    number = 0
    while _used_bytes(depot) < 0.74 * 2**20:
        number += 1
        at = f"2026-11-21T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
        await charger.ask("MeterValues", values | {"meterValue": [{"timestamp": at, "sampledValue": [sampled] * 20}]})
    await has_alarm(depot, "store_filling")


def _used_bytes(depot: Depot) -> int:
    with closing(sqlite3.connect(f"file:{depot.here('var/lib/edge/edge.db')}?mode=ro", uri=True)) as db:
        count, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return (count - free) * size


async def the_power_fails(depot: Depot) -> None:
    """Of the gateway and the chargers."""
    for charger in depot.chargers.values():
        await charger.power_cut("resume")
    await depot.running.kill()
    depot.daemon = None


async def the_power_is_back(depot: Depot) -> None:
    await depot.start()
    for charger in depot.chargers.values():
        await charger.connect()
    await depot.running.until("status", lambda d: all(one["status_at"] for one in d["connectors"]))
    await depot.caught_up()


async def the_disk_is_dead(depot: Depot) -> None:
    """The store cannot be opened at the next start."""
    await depot.stop()
    put_in_its_way(depot.here("var/lib/edge/edge.db"))
    await depot.start()
    await has_alarm(depot, "store_unusable")


async def the_store_is_damaged(depot: Depot) -> None:
    """Its first page is lost while the service is down; a minute later all is well again."""
    await depot.stop()
    lose_first_page(depot.here("var/lib/edge/edge.db"))
    await depot.start()
    await depot.running.told("salvage_done")
    await has_alarm(depot, "store_salvaged")


async def there_is_a_backup_of_last_night(depot: Depot) -> None:
    """And a session since then, which the cloud has."""
    command = ("-m", "edge", "backup", str(depot.here("var/backups/edge.db")), "--socket", str(depot.running.socket))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    await a_car_charges_and_leaves(depot, "CP-02")
    await depot.caught_up()


async def somebody_writes_a_wrong_file(depot: Depot) -> None:
    text = depot.file_text.replace('timezone = "Europe/Berlin"', 'timezone = "Europe/Berln"').replace(
        "[uplink]", "[uplnk]"
    )
    depot.write("/etc/edge/edge.toml", text)


async def the_gateway_starts(depot: Depot) -> None:
    """With a file that is wrong."""
    await depot.stop()
    await depot.start_in_vain()


async def the_file_is_mended(depot: Depot) -> None:
    text = depot.file_text.replace("Berln", "Berlin").replace("[uplnk]", "[uplink]")
    depot.write("/etc/edge/edge.toml", text)


async def a_depot_without_cloud_and_time(depot: Depot) -> None:
    """The machine says of its clock that nobody has set it."""
    if Path("/run/systemd/timesync/synchronized").exists():
        pytest.skip("this machine's clock is synchronised, and says so")
    depot.add_program("timedatectl", "echo no")
    depot.environment["PATH"] = f"{depot.root / 'programs'}:{os.environ['PATH']}"
    depot.write("/etc/edge/edge.toml", PLAIN.partition("[uplink]")[0])
    await depot.start()
    alarms = (await depot.running.ask("status"))["alarms"]
    if [one["code"] for one in alarms] != ["clock_not_synchronised"]:
        pytest.skip("this machine's clock was set from a battery-backed one")


async def a_depot_with_an_old_certificate(depot: Depot) -> None:
    authority = Authority(depot.here("authority"), "Depot 7 root")
    pair = authority.issue("gateway.lan", "DNS:gateway.lan", until=NOW + timedelta(days=12))
    folder = depot.here("etc/edge/tls")
    folder.mkdir()
    pair.cert_file.rename(folder / "gateway.pem")
    pair.key_file.rename(folder / "gateway.key")
    (folder / "gateway.key").chmod(0o640)
    listener = '\n[[listener]]\naddress = "0.0.0.0:8443"\nsecurity_profile = 2\n'
    listener += 'cert_file = "tls/gateway.pem"\nkey_file = "tls/gateway.key"\n'
    write_key(depot, "uplink.key")
    depot.write("/etc/edge/edge.toml", PLAIN + listener)
    await depot.start()
    new = authority.issue("new.gateway.lan", "DNS:gateway.lan", common_name="gateway.lan")
    new.cert_file.rename(depot.here("home/gateway.pem"))
    new.key_file.rename(depot.here("home/gateway.key"))


async def a_charger_does_not_trust_it(depot: Depot) -> None:
    with contextlib.suppress(ssl.SSLError):
        await asyncio.open_connection(
            "127.0.0.1", depot.port("8443"), ssl=ssl.create_default_context(), server_hostname="gateway.lan"
        )
    await depot.running.until("chargers", lambda d: any(one["last_failure"] for one in d["listeners"]))
