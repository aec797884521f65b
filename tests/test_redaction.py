"""No secret and no whole token in the log, wherever in a value it stands; and nothing that could steer a terminal."""

import dataclasses
import importlib
import json
import pkgutil
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge
from edge.redaction import LONGEST, LOOKED_AT, MARGIN, plain, redacted, told, traceback

SECRET = "s3cr3t-Val7e/+="
TOKEN = "04A2B9C1D5E6F7"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBcanary\nAwEHoUQDQgAE\n-----END EC PRIVATE KEY-----"
CHANGE = {"key": "AuthorizationKey", "value": SECRET}
SET_VARIABLES = {
    "setVariableData": [
        {"attributeValue": SECRET, "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    ]
}


@pytest.mark.parametrize(
    "value",
    [
        SECRET.encode(),
        {"password": SECRET},
        {"nested": [{"Authorization": f"Basic {SECRET}"}]},
        {"authorization_key": SECRET, "uplink_password": SECRET},
        CHANGE,
        {**CHANGE, "before": SECRET, "wanted": SECRET},
        json.dumps([2, "1", "ChangeConfiguration", CHANGE]),
        json.dumps([2, "1", "ChangeConfiguration", dict(reversed(CHANGE.items()))]),
        json.dumps(json.dumps([2, "1", "ChangeConfiguration", CHANGE])),
        json.dumps([2, "1", "SetVariables", SET_VARIABLES]),
        repr([2, "1", "ChangeConfiguration", CHANGE]),
        f"GET / HTTP/1.1\r\nAuthorization: Basic {SECRET}\r\n",
        f"wss://depot-7:{SECRET.replace('/', '%2F')}@csms.example.com/ocpp is no endpoint",
        f"Uplink(url='ws://x', password=b'{SECRET}')",
        f"Config(password='{SECRET}\nrest')",
        ValueError(f"password: '{SECRET}'"),
        f"password={SECRET}",
        f"uplink.password = {SECRET}, user = x",
        f"the password: {SECRET} was wrong",
        f"password_file:cp-01.key,password={SECRET}",
        f"token:of,password={SECRET}",
        f"{{'password': 'x\\'{SECRET}'}}",
        json.dumps({"password": f'x"{SECRET}'}),
        f"key='AuthorizationKey' value={SECRET}",
        f"Setting(key='AuthorizationKey', before='{SECRET}', wanted={SECRET})",
        f"ftp://user:p/{SECRET}@files.example.com/x",
        f"https://user:p {SECRET}@files.example.com/x",
        f"https://user:p@{SECRET}@files.example.com/x",
    ],
    ids=str,
)
def test_a_secret_is_not_told_whatever_it_stands_in(value):
    shown = json.dumps(told("field", value))
    assert "s3cr3t" not in shown
    assert "Val7e" not in shown


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":12345678}]',
        '[2,"1","ChangeConfiguration",{"value":12345678,"key":"AuthorizationKey"}]',
        '{"password":12345678}',
        '{\\"password\\":12345678}',
        "password=12345678&user=1",
        '{"idTag": 12345678}',
        "?token=12345678",
    ],
)
def test_a_secret_that_is_a_number_or_has_no_quotation_marks_is_not_told(text):
    assert "1234" not in redacted(text)


SECRETS_IN_A_TEXT = (
    f'{{"key":"AuthorizationKey","value":"{SECRET}"}}',
    f'{{"value":"{SECRET}","key":"AuthorizationKey"}}',
    f"Authorization: Basic {SECRET}",
    f"wss://depot-7:{SECRET}@csms.example.com",
    f"wss://depot-7:p {SECRET}@csms.example.com",
    f"password={SECRET}",
    f'{{"password":"{SECRET}"}}',
    PEM.replace("IBEIBcanary", SECRET),
)


@pytest.mark.parametrize("text", SECRETS_IN_A_TEXT)
def test_a_secret_is_not_told_wherever_a_text_is_cut(text):
    """Also where what stands before it becomes so short that the place of the cut is shown."""
    for before in ("", PEM.replace("canary", "x" * 280) + " "):
        for length in range(LONGEST + MARGIN - len(before) - len(text), LONGEST + MARGIN - len(before)):
            shown = str(told("why", before + "x " * (length // 2) + " " * (length % 2) + text + " and more" * 100))
            assert "s3cr" not in shown


@pytest.mark.parametrize("text", [PEM, json.dumps({"x": PEM}), PEM[:60], f"cannot read {PEM!r}"])
def test_a_private_key_is_not_told(text):
    assert "canary" not in redacted(text)
    assert "MHcC" not in redacted(text)
    assert "[private key]" in redacted(text)


@pytest.mark.parametrize("name", ["token", "id_token", "idTag", "id_tag", "parent_id_tag", "idToken", "group_id_token"])
def test_a_token_keeps_its_last_four_characters_under_any_name(name):
    assert told(name, TOKEN) == "…E6F7"
    assert told("payload", {name: TOKEN}) == {name: "…E6F7"}
    in_text = f'[2,"1","StartTransaction",{{"connectorId":1,"{name}":"{TOKEN}","meterStart":0}}]'
    assert told("text", in_text) == in_text.replace(TOKEN, "…E6F7")
    assert TOKEN not in redacted(json.dumps(in_text))
    assert TOKEN not in redacted(f"TransactionStarted({name}='{TOKEN}', meter=0)")


def test_a_token_of_2_x_keeps_its_last_four_characters():
    text = json.dumps({"idToken": {"idToken": TOKEN, "type": "ISO14443"}})
    assert redacted(text) == text.replace(TOKEN, "…E6F7")


def test_a_token_that_is_not_longer_than_what_is_kept_is_not_told_at_all():
    assert told("token", "ABCD") == "…"


def test_the_name_of_a_secret_key_stays_and_so_do_values_of_other_keys():
    assert told("setting", {"key": "AuthorizationKey", "status": "Accepted"}) == {
        "key": "AuthorizationKey", "status": "Accepted"
    }  # fmt: skip
    assert told("setting", {"key": "HeartbeatInterval", "value": "300"}) == {"key": "HeartbeatInterval", "value": "300"}


@pytest.mark.parametrize(
    "text",
    [
        'edge.toml:12: charger[CP-01].password_file: no such file "cp-01.key"; expected the name of a file',
        "wrong password or user name",
        "http://192.0.2.7:8080/firmware.bin was not found",
        "the certificate of wss://csms.example.com/ocpp is not trusted: certificate has expired",
        "CP-01@yard is not connected",
        "-----BEGIN CERTIFICATE-----",
        "password: expected the name of a file",
        "cannot connect to ws://192.0.2.7:8887: connection refused by CP-01@yard",
        "cannot connect to ws://[2001:db8::1]:8887/ocpp for CP-01@yard",
        "wss://csms.example.com: CP-01@yard is not connected",
        "idTag: expected at most 20 characters",
        "uplink(password=None, token=null)",
        "the value of HeartbeatInterval: value=300",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text):
    assert told("why", text) == text


def test_a_peers_text_is_on_one_line_short_and_cannot_steer_a_terminal():
    shown = told("reason", "\x1b[2J\nlevel=error \u202eevil\ud800\0" + "x" * 1000)
    assert isinstance(shown, str)
    assert shown.startswith("\\x1b[2J\\nlevel=error \\u202eevil\\ud800\\x00x")
    assert shown.isprintable()
    assert len(plain("x" * 1000)) == LONGEST
    assert plain("x" * 1000).endswith("…")


def test_numbers_facts_and_nothing_stay_what_they_are():
    assert told("fields", [1, 2.5, True, None, "x"]) == [1, 2.5, True, None, "x"]
    assert told("password", None) is None


def test_a_traceback_keeps_its_lines():
    shown = traceback(f'  File "a.py", line 1\n    f()\nValueError: \x1b[1m password="{SECRET}"')
    assert shown.split("\n")[:2] == ['  File "a.py", line 1', "    f()"]
    assert "\x1b" not in shown
    assert "s3cr3t" not in shown


@given(st.text(), st.dictionaries(st.text(), st.text() | st.none() | st.binary() | st.integers()))
def test_any_value_can_be_told_as_json_and_is_printable(text, members):
    for value in (told(text, text), told("field", members)):
        written = json.dumps(value, ensure_ascii=False)
        assert written.isprintable()


PIECES = (
    "a.", "a_", "a://", "a:", "@", " ", "\n", "\\", '"', "'", "=", "1", "-----BEGIN PRIVATE KEY-----", "-----END ",
    "-----BEGIN A", "Basic ", "token", "id_", "password", "password=", "password:1", "token:", "token=a(", "AuthorizationKey",
    "value", "value='", "value=", '"value":"',
)  # fmt: skip


def seconds(text: str) -> float:
    """Of the processor, at least: others use it too."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        redacted(text, len(text))
        taken.append(time.process_time() - began)
    return min(taken)


def of_length(length: int, first: str, again: str) -> str:
    return (first + again * length)[:length]


@pytest.mark.parametrize("first", ["", *PIECES])
def test_a_text_made_to_be_slow_takes_time_in_proportion_to_its_length(first):
    """Where each step began anew at each character it would be sixteen times as long, not four."""
    slow = []
    for again in (*PIECES, *(f"{first}{one}" for one in PIECES)):
        short, long = (of_length(length, first, again) for length in (LOOKED_AT // 4, LOOKED_AT))
        for _ in range(3):  # what else the machine does may make one of them slow
            factor = seconds(long) / (seconds(short) + 0.000_5)
            if factor < 9:
                break
        else:
            slow.append((first, again, factor))
    assert slow == []


def test_what_a_peer_says_is_cut_before_it_is_searched():
    """As long as what is shown, a word takes as long however much follows it."""
    assert told("offered", "token" * 800) == "token" * 51 + "…"
    began = time.process_time()
    for _ in range(24):
        told("offered", "token" * 800)
        told("reason", "password" * 200_000)
        traceback("password" * 200_000)
    assert time.process_time() - began < 2.0


def test_no_value_shows_a_secret_when_it_is_printed():
    """A traceback, a debugger or a log of the value itself: `repr` leaves them out."""
    shown = []
    for module in pkgutil.walk_packages(edge.__path__, "edge."):
        if module.name == "edge.__main__":
            continue
        for one in vars(importlib.import_module(module.name)).values():
            if dataclasses.is_dataclass(one) and isinstance(one, type):
                shown += [
                    f"{one.__module__}.{one.__qualname__}.{field.name}"
                    for field in dataclasses.fields(one)
                    if any(word in field.name for word in ("password", "secret", "knocked")) and field.repr
                ]
    assert sorted(set(shown)) == []
