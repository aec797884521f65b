"""What the pages' scenes begin with, and what happens in them."""

from datetime import timedelta

from simulators.charger import Charger
from simulators.meter import MeterSimulator
from simulators.meter_bus import Meter, MeterBus, golden_image

from tests.docs.depot import Depot

TOKEN = "04A2B3C4"
KEY = b"0123456789abcdef0123"
PLAIN = """\
[site]
id = "depot-7"
name = "Depot Rostock"
timezone = "Europe/Berlin"

[[listener]]
address = "0.0.0.0:8887"

[uplink]
url = "wss://csms.example.com/ocpp"
password_file = "uplink.key"
"""


# --- how scenes begin


async def a_new_machine(depot: Depot) -> None:
    """Nothing is installed."""


async def an_empty_gateway(depot: Depot) -> None:
    """Installed, but nothing is set up. The cloud's operator has said which password is ours."""
    depot.csms.password = KEY


async def a_gateway_in_operation(depot: Depot) -> None:
    """With a cloud, without chargers and meters."""
    await an_empty_gateway(depot)
    write_key(depot, "uplink.key")
    depot.write("/etc/edge/edge.toml", PLAIN)
    await depot.start()


def write_key(depot: Depot, name: str) -> None:
    file = depot.here(f"etc/edge/{name}")
    file.write_bytes(KEY + b"\n")
    file.chmod(0o640)


OPERATING = """\
[site]
id = "depot-7"
name = "Depot Rostock"
timezone = "Europe/Berlin"

[[listener]]
address = "0.0.0.0:8887"

[[charger]]
id = "CP-01"
password_file = "cp.key"
evses = [1, 1]

[[charger]]
id = "CP-02"
password_file = "cp.key"
evses = [1, 1]

[[meter]]
id = "grid"
profile = "eastron-sdm630"
connection = "tcp://192.0.2.20:502"

[uplink]
url = "wss://csms.example.com/ocpp"
password_file = "uplink.key"
"""


async def a_depot_in_operation(depot: Depot, more: str = "") -> None:
    """Two chargers, at one of them a car; a meter; a cloud that has everything."""
    write_key(depot, "uplink.key")
    write_key(depot, "cp.key")
    depot.meter.set(power_w=(4100.0, 3900.0, 5300.0), energy_import_wh=48_211_300.0, energy_export_wh=12_400.0)
    depot.write("/etc/edge/edge.toml", OPERATING + more)
    await depot.start()
    for identity in ("CP-01", "CP-02"):
        await is_served(depot, await depot.charger(identity, KEY))
    await a_car_charges_at(depot, "CP-02")
    await the_car_leaves(depot, "CP-02")
    await a_car_charges_at(depot, "CP-01")
    await the_meters_are_read(depot)


async def a_depot_with_a_firmware_bridge(depot: Depot) -> None:
    await a_depot_in_operation(depot)


async def the_bridge_is_running(depot: Depot) -> None:
    await depot.start_bridge()


async def runs_the_new_firmware(depot: Depot, charger: str) -> None:
    def is_installed(document: dict) -> bool:
        return any(
            (one["charger"], one["step"]) == (charger, "installed") for one in document["rollout"]["chargers"]
        )

    await depot.running.until("firmware_show", is_installed, within=50, rollout="F1")


async def has_alarm(depot: Depot, code: str) -> None:
    await depot.running.until("status", lambda d: code in [one["code"] for one in d["alarms"]], within=40)


# --- chargers


async def is_served(depot: Depot, charger: Charger, connectors: int = 2) -> None:
    await charger.wait_for(lambda: charger.is_ready, 20)

    def is_numbered(chargers: dict) -> bool:
        return any(
            one["id"] == charger.identity and one["state"] == "online" and len(one["upstream_connectors"]) == connectors
            for one in chargers["chargers"]
        )

    await depot.running.until("chargers", is_numbered)
    await depot.running.until(
        "status",
        lambda d: all(one["status_at"] for one in d["connectors"] if one["charger"] == charger.identity),
    )


async def is_set_up_and_connects(depot: Depot, identity: str) -> None:
    await is_served(depot, await depot.charger(identity, depot.secret(f"{identity.lower()}.key")))


async def knocks(depot: Depot, identity: str) -> None:
    """It is in no list."""
    await depot.charger(identity, KEY)
    await depot.running.until(
        "chargers",
        lambda d: [
            one for one in d["chargers"] if (one["id"], one["state"]) == (identity, "pending") and one["vendor"]
        ],
    )


async def is_told_to_come_again(depot: Depot, identity: str) -> None:
    """What a box does by itself half a minute after it was told to wait."""
    charger = depot.chargers[identity]
    await charger.disconnect()
    charger.boot_again()
    await charger.connect()
    await is_served(depot, charger)


async def is_taken_off_the_wall(depot: Depot, identity: str) -> None:
    await depot.chargers[identity].disconnect()
    await depot.running.until(
        "chargers", lambda d: [one for one in d["chargers"] if (one["id"], one["state"]) == (identity, "offline")]
    )


async def is_exchanged_for_another_box(depot: Depot, identity: str) -> None:
    """Under the same identity and with the same password."""
    await is_taken_off_the_wall(depot, identity)
    box = await depot.charger(identity, depot.chargers[identity].password, serial="A-2077")
    await is_served(depot, box)


async def has_a_third_connector(depot: Depot, identity: str) -> None:
    """After a visit of its maker's technician, who restarted it."""
    charger = depot.chargers[identity]
    await charger.disconnect()
    await is_served(depot, await depot.charger(identity, charger.password, connectors=3), 3)


async def a_car_charges_at(depot: Depot, identity: str, connector: int = 1) -> None:
    """For three quarters of an hour, by the charger's clock."""
    charger = depot.chargers[identity]
    depot.earlier = timedelta(minutes=45)
    await charger.start_session(connector, TOKEN)
    depot.earlier = timedelta(minutes=1)
    charger.add_energy(connector, 8050)
    await charger.send_meter_values(connector)
    depot.earlier = timedelta(0)
    await depot.caught_up()


async def the_car_leaves(depot: Depot, identity: str, connector: int = 1) -> None:
    charger = depot.chargers[identity]
    charger.add_energy(connector, 180)
    await charger.stop_session(connector)
    await charger.unplug(connector)
    await depot.caught_up()


# --- meters


async def two_meters_are_wired_to_the_serial_port(depot: Depot) -> None:
    """As units 1 and 2 of one line."""
    grid = MeterSimulator()
    grid.set(power_w=(4100.0, 3900.0, 5300.0), energy_import_wh=48_211_300.0, energy_export_wh=12_400.0)
    units = {1: grid, 2: golden_image("cg-em24")}
    bus = MeterBus({unit: Meter(one, turnaround_s=0.02) for unit, one in units.items()}, baudrate=9600)
    await depot.stack.enter_async_context(bus)
    bus.open_serial()
    depot.buses["/dev/ttyUSB0"] = bus
    names = depot.here("dev/serial/by-id")
    names.mkdir(parents=True)
    (names / "usb-FTDI_FT232R_USB_UART_A10K42ZX-if00-port0").symlink_to("../../ttyUSB0")


async def a_meter_like_that_is_wired_to_it_as_unit(depot: Depot) -> None:
    """3: the page's own profile says what is in its registers."""
    meter = Meter(golden_image(depot.here("etc/edge/wattco-x1.toml")), turnaround_s=0.02)
    depot.buses["/dev/ttyUSB0"].meters[3] = meter


async def the_meters_are_read(depot: Depot) -> None:
    await depot.running.until("meter", lambda d: d["meters"] and all(one["quality"] == "good" for one in d["meters"]))
