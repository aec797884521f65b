"""From one file to the next: what comes into force at once, with a new connection to the CSMS, and after a restart."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.config import Config, Listener, Meter
from edge.config.changes import changes
from edge.config.effects import LIVE, ON_RECONNECT, ON_RESTART
from edge.config.keys import keys_of

CHARGER = '[[charger]]\nid = "CP-01"\npassword_file = "cp-01.key"'


@pytest.fixture
def present(checked, full) -> Config:
    config, _ = checked(full, known_profiles=("eastron-sdm630",))
    assert config is not None
    return config


@pytest.fixture
def after(checked, present, full):
    """What a changed text of the file changes."""

    def compared(*replaced: tuple[str, str]):
        text = full
        for before, now in replaced:
            assert before in text
            text = text.replace(before, now)
        config, problems = checked(text, known_profiles=("eastron-sdm630",))
        assert config is not None, problems
        return changes(present, config)

    return compared


def test_every_key_says_when_its_change_comes_into_force():
    unmarked = [
        f"{section.name}.{key.name}"
        for section in keys_of(Config)
        for key in keys_of(section.kind)
        if key.rule is not None and key.effect is None
    ]
    assert unmarked == []


def test_a_file_that_says_the_same_changes_nothing(present, after):
    found = after()
    assert (found.live, found.on_reconnect, found.on_restart) == ((), (), ())
    assert found.config == present


def test_each_change_is_named_under_the_class_of_its_key(after):
    found = after(
        ('name = "Depot Rostock"', 'name = "Depot Kiel"'),
        ("meter_interval = 30", "meter_interval = 60"),
        ('url = "wss://csms.example.com/ocpp"', 'url = "wss://other.example.com/ocpp"'),
        ('path = "/var/lib/edge/edge.db"', 'path = "/srv/edge.db"'),
        ("poll_interval = 1.0", "poll_interval = 2.0"),
    )
    assert found.live == ("site.name", "chargers.meter_interval")
    assert found.on_reconnect == ("uplink.url",)
    assert found.on_restart == ("store.path", "meter[grid].poll_interval")


def test_what_waits_for_a_restart_keeps_its_old_value_and_is_named_again_by_the_next_reload(present, after):
    found = after(('path = "/var/lib/edge/edge.db"', 'path = "/srv/edge.db"'), ("hold = 900", "hold = 60"))
    assert found.config.store.path == Path("/var/lib/edge/edge.db")
    assert found.config.sessions.hold == 60
    again = changes(found.config, replace(present, store=replace(present.store, path=Path("/srv/edge.db"))))
    assert again.on_restart == ("store.path",)
    assert again.live == ("sessions.hold",)


def test_chargers_come_go_and_change_by_their_id_wherever_they_stand(checked, present, after, full):
    second = '\n[[charger]]\nid = "CP-02"\npassword_file = "uplink.key"\n'
    found = after((CHARGER, second.lstrip() + "\n" + CHARGER))
    assert found.live == ("charger[CP-02] added",)
    assert [one.id for one in found.config.charger] == ["CP-02", "CP-01"]
    back = changes(found.config, present)
    assert back.live == ("charger[CP-02] removed",)
    assert after(("evses = [1, 1]", "evses = [1, 1, 2]")).live == ("charger[CP-01].evses",)


def test_a_new_password_is_named_by_its_key_and_never_shown(gateway, checked, present, full):
    (gateway / "cp-01.key").write_text("fedcba9876543210")
    config, _ = checked(full, known_profiles=("eastron-sdm630",))
    found = changes(present, config)
    assert found.live == ("charger[CP-01].password_file",)
    assert found.config.charger[0].password == b"fedcba9876543210"
    assert "fedcba9876543210" not in repr(found)
    assert "0123456789abcdef" not in repr(present)


def test_listeners_and_meters_stay_as_they_are_until_a_restart(after):
    found = after(('address = "0.0.0.0:8887"', 'address = "0.0.0.0:8888"'), ('id = "grid"', 'id = "net"'),
                  ('meter = "grid"', 'meter = "net"'))  # fmt: skip
    assert found.on_restart == (
        "listener[0.0.0.0:8888] added", "listener[0.0.0.0:8887] removed", "meter[net] added", "meter[grid] removed"
    )  # fmt: skip
    assert [one.port for one in found.config.listeners] == [8887]
    assert [one.id for one in found.config.meters] == ["grid"]
    assert found.live == ("circuit[main].meter",)


def test_a_certificate_of_a_listener_changes_at_once_while_its_path_waits(present):
    with_certificate = Listener("0.0.0.0", 8887, "/new", 1, cert_file=Path("/etc/edge/new.pem"))
    found = changes(present, replace(present, listeners=(with_certificate,)))
    assert found.live == ("listener[0.0.0.0:8887].cert_file",)
    assert found.on_restart == ("listener[0.0.0.0:8887].path",)
    assert found.config.listeners[0].cert_file == Path("/etc/edge/new.pem")
    assert found.config.listeners[0].path == "/ocpp"


def test_two_listeners_at_free_ports_are_told_apart_by_their_order(present):
    two = (Listener("127.0.0.1", 0, "/a"), Listener("127.0.0.1", 0, "/b"))
    found = changes(replace(present, listeners=two), replace(present, listeners=(two[0], replace(two[1], path="/c"))))
    assert found.on_restart == ("listener[127.0.0.1:0 #2].path",)


def test_the_uplink_comes_and_goes_with_a_new_connection(present):
    gone = changes(present, replace(present, uplink=None))
    assert gone.on_reconnect == ("uplink",)
    assert gone.config.uplink is None
    assert changes(gone.config, present).config.uplink == present.uplink


def test_an_uplink_that_goes_by_the_sites_id_keeps_its_identity_until_the_site_is_restarted(after, present):
    found = after(('id = "depot-7"                      # default', 'id = "depot-8"  # default'),
                  ('identity = "depot-7"\n', ""))  # fmt: skip
    assert found.on_restart == ("site.id",)
    assert found.on_reconnect == ()
    assert found.config.uplink.identity == "depot-7"
    own = after(('identity = "depot-7"\n', 'identity = "station-9"\n'))
    assert own.on_reconnect == ("uplink.identity",)


def test_what_changes_in_daily_work_is_live():
    effect = {f"{section.name}.{key.name}": key.effect for section in keys_of(Config) for key in keys_of(section.kind)}
    for name in ("chargers.unknown", "chargers.heartbeat_interval", "authorization.offline", "charger.id",
                 "charger.password_file", "charger.evses", "site.name", "store.retention_days", "store.max_size_mb",
                 "listener.cert_file", "sessions.hold"):  # fmt: skip
        assert effect[name] is LIVE, name
    assert {effect[name] for name in effect if name.startswith("uplink.")} == {ON_RECONNECT}
    restart = ("listener.address", "store.path", "site.id", "api.socket", "meter.connection")
    assert {effect[name] for name in restart} == {ON_RESTART}


def test_a_meter_is_known_again_by_its_id(present):
    meters = (*present.meters, Meter("sub", "eastron-sdm630", "tcp://192.0.2.21:502", role="sub"))
    found = changes(replace(present, meters=meters), replace(present, meters=meters[::-1]))
    assert (found.live, found.on_restart) == ((), ())
