import pytest

from edge.config import Problem

FIVE_MISTAKES = """\
[site]
id = "depot-7"
timezone = "Europe/Berln"

[[listener]]
address = "0.0.0.0:8887"

[chargers]
meter_intervall = 30

[[charger]]
id = "CP-01"
password_file = "cp-01.key"
circuit = "hall-a"
max_current = "32"

[[charger]]
id = "CP-02"
password_file = "cp-02.key"
circuit = "hall-a"

[uplink]
url = "ws://csms.example.com/ocpp"
security_profile = 2
password_file = "uplink.key"

[[circuit]]
id = "hall-a"
limit = 125
"""


def test_a_configuration_with_five_mistakes_gets_five_messages_each_with_file_line_key_and_what_was_expected(
    checked, gateway
):
    config, problems = checked(FIVE_MISTAKES)

    file = gateway / "edge.toml"
    assert config is None
    assert [str(problem) for problem in problems if not problem.warning] == [
        f'{file}:3: site.timezone: expected a time zone such as "Europe/Berlin", got the string "Europe/Berln" (did you mean "Europe/Berlin"?)',
        f'{file}:9: chargers.meter_intervall: unknown key (did you mean "meter_interval"?); expected one of: versions | unknown | heartbeat_interval | meter_interval',
        f'{file}:15: charger[CP-01].max_current: expected a number above 0, at most 10000, got the string "32"',
        f'{file}:19: charger[CP-02].password_file: no such file "cp-02.key"; expected the name of a file with the password',
        f'{file}:23: uplink.url: expected wss://… at security_profile = 2, got "ws://csms.example.com/ocpp"',
    ]  # fmt: skip


def lines_of(problems: tuple[Problem, ...]) -> list[tuple[int | None, str, str]]:
    return [(problem.line, problem.key, problem.message) for problem in problems if not problem.warning]


IDENTITY = "expected an identity of 1 to 48 characters without ':' and '/'"
NAME = "expected a name of 1 to 48 characters without ':' and '/'"
ADDRESS = 'expected HOST:PORT, such as "0.0.0.0:8887" or "[::]:8887"'
URL = "expected ws://HOST[:PORT]/PATH or wss://… without user, query and identity (it is appended)"
MODBUS = 'expected tcp://HOST[:PORT], rtu:///dev/TTY[?baudrate=9600&parity=N&stopbits=1] or rtu+tcp://HOST:PORT, such as "tcp://192.0.2.20:502"'
PHASES = 'expected the charger\'s phases in order, such as "L1L2L3", "L2L3L1" or "L3"'
READABLE = "expected the name of a file that can be read"

# What is replaced in the full example, by what, and the only problem that comes of it: the line on which this text
# stands (nothing: where the change is), key, message.
VALUES = {
    "integer: string": ("= 300", '= "x"', "", "chargers.heartbeat_interval", 'expected an integer from 1 to 86400, got the string "x"'),
    "integer: boolean": ("retention_days = 90", "retention_days = true", "", "store.retention_days", "expected an integer from 1 to 3650, got true"),
    "integer: float": ("retention_days = 90", "retention_days = 9.0", "", "store.retention_days", "expected an integer from 1 to 3650, got the number 9.0"),
    "integer: too small": ("retention_days = 90", "retention_days = 0", "", "store.retention_days", "expected an integer from 1 to 3650, got the integer 0"),
    "integer: huge": ("retention_days = 90", f"retention_days = {10**30}", "", "store.retention_days", "expected an integer from 1 to 3650, got an integer of more than 18 digits"),
    "number: string": ("online_timeout = 8.0", 'online_timeout = "8"', "", "authorization.online_timeout", 'expected a number above 0, at most 300, got the string "8"'),
    "number: zero": ("max_current = 32", "max_current = 0", "", "charger[CP-01].max_current", "expected a number above 0, at most 10000, got the integer 0"),
    "number: not a number": ("max_current = 32", "max_current = nan", "", "charger[CP-01].max_current", "expected a number above 0, at most 10000, got the number nan"),
    "number: infinite": ("max_current = 32", "max_current = inf", "", "charger[CP-01].max_current", "expected a number above 0, at most 10000, got the number inf"),
    "number: huge": ("max_current = 32", f"max_current = {10**400}", "", "charger[CP-01].max_current", "expected a number above 0, at most 10000, got an integer of more than 18 digits"),
    "number: negative": ("failsafe = 60", "failsafe = -1", "", "circuit[main].failsafe", "expected a number from 0 to 10000, got the integer -1"),
    "string: integer": ('"Depot Rostock"', "7", "", "site.name", "expected a string, got the integer 7"),
    "string: date": ('"Depot Rostock"', "2026-11-21", "", "site.name", "expected a string, got the date or time 2026-11-21"),
    "string: table": ('"Depot Rostock"', "{}", "", "site.name", "expected a string, got a table"),
    "choice": ('"pending"', '"pendin"', "", "chargers.unknown", 'expected one of: pending | accept | reject, got the string "pendin" (did you mean "pending"?)'),
    "choice: list": ('"fair"', '["fair"]', "", "uplink.order", "expected one of: fair | chronological, got a list"),
    "time zone: folder": ("Europe/Berlin", "Arctic", "", "site.timezone", 'expected a time zone such as "Europe/Berlin", got the string "Arctic"'),
    "time zone: integer": ('"Europe/Berlin"', "1", "", "site.timezone", 'expected a time zone such as "Europe/Berlin", got the integer 1'),
    "site id: empty": ('id = "depot-7"  ', 'id = ""', "", "site.id", f'{IDENTITY}, got the string ""'),
    "charger id: colon": ('id = "CP-01"', 'id = "CP:01"', "", "charger[CP:01].id", f'{IDENTITY}, got the string "CP:01"'),
    "charger id: slash": ('id = "CP-01"', 'id = "CP/01"', "", "charger[CP/01].id", f'{IDENTITY}, got the string "CP/01"'),
    "charger id: too long": ('id = "CP-01"', f'id = "{"x" * 49}"', "", "charger[#1].id", f'{IDENTITY}, got the string "{"x" * 49}"'),
    "charger id: control": ('id = "CP-01"', r'id = "CP\n01"', "", "charger[#1].id", IDENTITY + r", got the string 'CP\n01'"),
    "charger id: missing": ('id = "CP-01"\n', "", "[[charger]]", "charger[#1].id", f"missing, {IDENTITY}"),
    "meter id: missing": ('id = "grid"\n', 'id = "GRID"\n', 'meter = "grid"', "circuit[main].meter", 'no meter "grid"; expected one of: GRID'),
    "version: planned": ('["1.6"]                  #', '["1.6", "2.0.1"] #', "", "chargers.versions", 'item 2: the string "2.0.1" is not built yet, expected one of: 1.6'),
    "version: unknown": ('["1.6"]\nsec', '["1.5"]\nsec', "", "uplink.versions", 'item 1: expected one of: 1.6, got the string "1.5" (did you mean "1.6"?)'),
    "version: none": ('["1.6"]\nsec', "[]\nsec", "", "uplink.versions", "expected a list of OCPP versions, each one of: 1.6, at least one; got an empty list"),
    "version: string": ('["1.6"]\nsec', '"1.6"\nsec', "", "uplink.versions", 'expected a list of OCPP versions, each one of: 1.6, got the string "1.6"'),
    "evses": ("evses = [1, 1]", 'evses = [0, 1, "x"]', "", "charger[CP-01].evses", 'item 1: expected an integer from 1 to 99, got the integer 0; item 3: expected an integer from 1 to 99, got the string "x"'),
    "phases: twice": ('"L1L2L3"', '"L1L1"', "", "charger[CP-01].phases", f'{PHASES}, got the string "L1L1"'),
    "phases: four": ('"L1L2L3"', '"L1L4"', "", "charger[CP-01].phases", f'{PHASES}, got the string "L1L4"'),
    "address: port": ("0.0.0.0:8887", "0.0.0.0:65536", "", "listener[#1].address", f'{ADDRESS}, got the string "0.0.0.0:65536"'),
    "address: no port": ("0.0.0.0:8887", "0.0.0.0", "", "listener[#1].address", f'{ADDRESS}, got the string "0.0.0.0"'),
    "address: no host": ("0.0.0.0:8887", ":8887", "", "listener[#1].address", f'{ADDRESS}, got the string ":8887"'),
    "address: octet": ("0.0.0.0:8887", "0.0.0.256:8887", "", "listener[#1].address", f'{ADDRESS}, got the string "0.0.0.256:8887"'),
    "address: IPv6 without brackets": ("0.0.0.0:8887", "::1:8887", "", "listener[#1].address", f'{ADDRESS}, got the string "::1:8887"'),
    "address: bad IPv6": ("0.0.0.0:8887", "[:::]:8887", "", "listener[#1].address", f'{ADDRESS}, got the string "[:::]:8887"'),
    "address: missing": ('address = "0.0.0.0:8887"\n', "", "[[listener]]", "listener[#1].address", f"missing, {ADDRESS}"),
    "path: slash at the end": ('"/ocpp"', '"/ocpp/"', "", "listener[#1].path", 'expected a path such as "/ocpp", without a slash at its end, got the string "/ocpp/"'),
    "listener with client certificates": ("security_profile = 1", "security_profile = 3", "", "listener[#1].security_profile", "the integer 3 is not built yet, expected one of: 0 | 1 | 2"),
    "listener's profile": ("security_profile = 1", "security_profile = 7", "", "listener[#1].security_profile", "expected one of: 0 | 1 | 2, got the integer 7"),
    "uplink's profile": ("security_profile = 2", "security_profile = 4", "", "uplink.security_profile", "expected one of: 0 | 1 | 2 | 3, got the integer 4"),
    "url: http": ("wss://csms.example.com/ocpp", "https://csms.example.com", "", "uplink.url", f'{URL}, got the string "https://csms.example.com"'),
    "url: user": ("wss://csms", "wss://me:secret@csms", "", "uplink.url", f'{URL}, got the string "wss://[redacted]@csms.example.com/ocpp"'),
    "url: port": ("csms.example.com", "csms.example.com:x", "", "uplink.url", f'{URL}, got the string "wss://csms.example.com:x/ocpp"'),
    "url: bracket": ("csms.example.com", "[csms", "", "uplink.url", f'{URL}, got the string "wss://[csms/ocpp"'),
    "url: profile 0": ("security_profile = 2", "security_profile = 0", "url =", "uplink.url", 'expected ws://… at security_profile = 0, got "wss://csms.example.com/ocpp"'),
    "url: default profile": ('url = "wss://csms.example.com/ocpp" # the identity is appended\nidentity = "depot-7"\nversions = ["1.6"]\nsecurity_profile = 2', 'url = "ws://c"', "", "uplink.url", 'expected wss://… at security_profile = 2, got "ws://c"'),
    "uplink without password": ('password_file = "uplink.key"\n', "", "[uplink]", "uplink.password_file", "missing, expected the name of a file at security_profile = 2"),
    "vendor: too long": ('vendor = "…"', f'vendor = "{"v" * 21}"', "", "uplink.vendor", f'expected a text of 1 to 20 characters, got the string "{"v" * 21}"'),
    "charger without password": ('password_file = "cp-01.key"', "", "[[charger]]", "charger[CP-01].password_file", "missing, expected the name of a file with the password: no [[listener]] has security_profile = 0"),
    "certificate without key": ("# ca_file, cert_file, key_file", 'cert_file = "uplink.key"', "[uplink]", "uplink.key_file", "missing, expected the name of a file as cert_file and key_file go together"),
    "ca_file: missing": ("# ca_file, cert_file, key_file", 'ca_file = "ca.pem"', "", "uplink.ca_file", f'{READABLE}, got the string "ca.pem"'),
    "ca_file: folder": ("# ca_file, cert_file, key_file", 'ca_file = "."', "", "uplink.ca_file", f'{READABLE}, got the string "."'),
    "ca_file: empty": ("# ca_file, cert_file, key_file", 'ca_file = ""', "", "uplink.ca_file", f'{READABLE}, got the string ""'),
    "store: folder": ('"/var/lib/edge/edge.db"', '"."', "", "store.path", 'expected the path of a file, got the string "."'),
    "store: integer": ('"/var/lib/edge/edge.db"', "1", "", "store.path", "expected the path of a file, got the integer 1"),
    "socket: too long": ("/run/edge/edge.sock", f"/run/{'x' * 103}", "", "api.socket", f'expected a path of at most 107 bytes, got the string "/run/{"x" * 54}…"'),
    "http": ('http = ""', 'http = "8880"', "", "api.http", 'expected HOST:PORT, such as "127.0.0.1:8880", or "" for none, got the string "8880"'),
    "circuit: unknown": ('circuit = "hall-a"', 'circuit = "hall-b"', "", "charger[CP-01].circuit", 'no circuit "hall-b" (did you mean "hall-a"?); expected one of: main | hall-a'),
    "circuit: own parent": ('parent = "main"', 'parent = "hall-a"', "", "circuit[hall-a].parent", "hall-a → hall-a is a ring, expected a circuit that is not fed by hall-a"),
    "circuit: ring": ("limit = 250", 'limit = 250\nparent = "hall-a"', 'parent = "hall-a"', "circuit[main].parent", "main → hall-a → main is a ring, expected a circuit that is not fed by main"),
    "circuit: parent": ('parent = "main"', 'parent = "mian"', "", "circuit[hall-a].parent", 'no circuit "mian" (did you mean "main"?); expected one of: main | hall-a'),
    "meter: no scheme": ("tcp://192.0.2.20:502", "192.0.2.20", "", "meter[grid].connection", f'{MODBUS}, got the string "192.0.2.20": it has to begin with "tcp://", "rtu://" or "rtu+tcp://"'),
    "meter: other scheme": ("tcp://192", "http://192", "", "meter[grid].connection", f'{MODBUS}, got the string "http://192.0.2.20:502": "http://" is not known'),
    "meter: two slashes": ("tcp://192.0.2.20:502", "rtu://dev/ttyUSB0", "", "meter[grid].connection", f'{MODBUS}, got the string "rtu://dev/ttyUSB0": the device is a path with three slashes before it, such as "rtu:///dev/ttyUSB0"'),
    "meter: parity": ("tcp://192.0.2.20:502", "rtu:///dev/ttyUSB0?parity=X", "", "meter[grid].connection", f'{MODBUS}, got the string "rtu:///dev/ttyUSB0?parity=X": parity is N, E or O, not "X"'),
    "meter: gateway without port": ("tcp://192.0.2.20:502", "rtu+tcp://192.0.2.21", "", "meter[grid].connection", f'{MODBUS}, got the string "rtu+tcp://192.0.2.21": the gateway\'s port is missing, such as rtu+tcp://192.0.2.21:4196'),
    "meter: port 0": ("tcp://192.0.2.20:502", "tcp://192.0.2.20:0", "", "meter[grid].connection", f'{MODBUS}, got the string "tcp://192.0.2.20:0": port 0 does not exist'),
    "meter: phases": ("unit = 1", 'phases = "L4"', "", "meter[grid].phases", 'expected the meter\'s phases in order, such as "L1L2L3", "L2L3L1" or "L3", got the string "L4"'),
    "meter: ratio": ("unit = 1", "ct_ratio = 0", "", "meter[grid].ct_ratio", "expected a number above 0, at most 100000, got the integer 0"),
    "meter: invert": ("unit = 1", "invert = 1", "", "meter[grid].invert", "expected true or false, got the integer 1"),
    "meter: serial unit": ('"tcp://192.0.2.20:502"\nunit = 1', '"rtu:///dev/ttyUSB0"\nunit = 0', "unit = 0", "meter[grid].unit", "expected 1 to 247 on a serial line, got 0"),
    "meter: unit": ("unit = 1", "unit = 256", "", "meter[grid].unit", "expected an integer from 0 to 255, got the integer 256"),
    "meter: profile": ('"eastron-sdm630"', '"eastron-sdm603"', "", "meter[grid].profile", 'no profile "eastron-sdm603" (did you mean "eastron-sdm630"?); expected a path or one of: abb-b23 | eastron-sdm630'),
    "meter: profile's path": ('"eastron-sdm630"', '"own.toml"', "", "meter[grid].profile", 'no such file "own.toml"; expected the path of a meter profile'),
    "meter: profile's impossible path": ('"eastron-sdm630"', r'"./\u0001"', "", "meter[grid].profile", r"no such file './\x01'; expected the path of a meter profile"),
    "meter: stale before it is polled": ("stale_after = 5.0", "stale_after = 1", "", "meter[grid].stale_after", "expected more than poll_interval (1 s), got 1 s"),
    "unknown key": ("retention_days = 90", "retention = 90", "", "store.retention", 'unknown key (did you mean "retention_days"?); expected one of: path | retention_days | max_size_mb'),
    "unknown key: quoted": ("retention_days = 90", '"a b" = 90', "", "store.a b", "unknown key; expected one of: path | retention_days | max_size_mb"),
    "secret in the file": ("tolerate = []", 'password = "x"', "", "charger[CP-01].password", 'unknown key (did you mean "password_file"?); expected one of: id | password_file | circuit | max_current | phases | evses | tolerate'),
    "field's name instead of the key": ('address = "0.0.0.0:8887"', 'address = "0.0.0.0:8887"\nport = 1', "port = 1", "listener[#1].port", "unknown key; expected one of: address | path | security_profile | cert_file | key_file | second_cert_file | second_key_file | client_ca_file"),
    "table: array of tables": ("[authorization]", "[[authorization]]", "", "authorization", "expected a table [authorization], got a list"),
    "array: table": ("[[meter]]", "[meter]", "", "meter", "expected an array of tables: write [[meter]]"),
    "array: other values": ("[site]", "circuit = [1]\n[site]", "", "circuit", "expected an array of tables [[circuit]], got a list"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "key", "message"), VALUES.values(), ids=VALUES.keys())
def test_one_mistake_gets_one_message_with_line_key_and_what_was_expected(checked, full, old, new, place, key, message):
    if new.startswith("circuit = [1]"):  # the file has that array already
        full = full[: full.index("[[circuit]]")].replace('circuit = "hall-a"\n', "")
    assert old in full

    text = full.replace(old, new, 1)
    line = text.count("\n", 0, text.index(place) if place else full.index(old)) + 1

    config, problems = checked(text, known_profiles={"eastron-sdm630", "abb-b23"})

    assert config is None
    assert lines_of(problems) == [(line, key, message)]


def test_unknown_tables_are_told_with_a_suggestion(checked, minimal):
    _, problems = checked(minimal + "[uplnk]\n[xyz]\n")
    known = (
        "site | listener | uplink | store | chargers | charger | authorization | sessions | circuit | meter | "
        "api | firmware_bridge | firmware_rule"
    )

    assert lines_of(problems) == [
        (7, "uplnk", f'unknown table (did you mean "uplink"?); expected one of: {known}'),
        (8, "xyz", f"unknown table; expected one of: {known}"),
    ]


def test_an_empty_file_lacks_a_site_and_a_listener(checked):
    assert lines_of(checked("")[1]) == [
        (1, "site", "missing, expected a table [site]"),
        (1, "listener", "missing, expected a table [[listener]]"),
    ]
    assert lines_of(checked('listener = []\nsite = { id = "x" }')[1]) == [
        (1, "listener", "expected at least one table [[listener]]")
    ]


def test_ids_and_addresses_are_given_once(checked, full):
    again = """
[[listener]]
address = "0.0.0.0:8887"
[[charger]]
id = "CP-01"
password_file = "cp-01.key"
[[circuit]]
id = "main"
limit = 1
[[meter]]
id = "grid"
profile = "x"
connection = "tcp://192.0.2.20:503"
role = "sub"
"""
    end = full.count("\n")
    assert lines_of(checked(full + again)[1]) == [
        (end + 3, "listener[#2].address", 'expected each listener to have its own, got "0.0.0.0:8887" as in line 12'),
        (end + 5, "charger[CP-01].id", 'expected each charger to have its own, got "CP-01" as in line 23'),
        (end + 8, "circuit[main].id", 'expected each circuit to have its own, got "main" as in line 54'),
        (end + 11, "meter[grid].id", 'expected each meter to have its own, got "grid" as in line 65'),
    ]


def test_only_one_meter_is_the_grid_meter(checked, full):
    second = '[[meter]]\nid = "pv"\nprofile = "x"\nconnection = "tcp://192.0.2.20:503"\n'

    assert lines_of(checked(full + second)[1]) == [
        (full.count("\n") + 1, "meter[pv].role", 'expected "sub": the grid meter is the one in line 64')
    ]


def test_a_listener_without_passwords_lets_chargers_have_none(checked, full):
    text = full.replace('password_file = "cp-01.key"', "")
    text += '[[listener]]\naddress = "0.0.0.0:8888"\nsecurity_profile = 0\n'

    assert lines_of(checked(text)[1]) == []


def test_a_password_that_no_listener_asks_for_is_a_warning(checked, full):
    text = full.replace("security_profile = 1 ", "security_profile = 0 ")
    remarks = [one for one in checked(text)[1] if one.key == "charger[CP-01].password_file"]
    assert [one.warning for one in remarks] == [True]
    assert "every [[listener]] has security_profile = 0" in remarks[0].message
    _, problems = checked(text + '[[listener]]\naddress = "0.0.0.0:8888"\nsecurity_profile = 1\n')
    assert not any(one.key == "charger[CP-01].password_file" for one in problems)


@pytest.mark.parametrize(
    ("profile", "missing"),
    [(0, []), (1, ["password_file"]), (2, ["password_file"]), (3, ["cert_file", "key_file"])],
)
def test_the_uplink_needs_the_secrets_of_its_security_profile(checked, minimal, profile, missing):
    scheme = "ws" if profile < 2 else "wss"
    _, problems = checked(f'{minimal}[uplink]\nurl = "{scheme}://c/ocpp"\nsecurity_profile = {profile}\n')

    assert [problem.key for problem in problems] == [f"uplink.{key}" for key in missing]
    assert {problem.line for problem in problems} <= {7}


def test_a_wrong_value_does_not_hide_what_is_wrong_elsewhere(checked, full):
    text = full.replace("limit = 250", "limit = -1").replace('"CP-01"', '"CP:01"')
    text = text.replace('parent = "main"', 'parent = "x"').replace('"cp-01.key"', '"y"')

    assert [problem.key for problem in checked(text)[1] if not problem.warning] == [
        "charger[CP:01].id",
        "charger[CP:01].password_file",
        "circuit[main].limit",
        "circuit[hall-a].parent",
    ]


def test_a_wrong_value_is_not_blamed_again_where_it_is_referred_to(checked, full):
    text = full.replace("[[meter]]", "[meter]")

    assert [problem.key for problem in checked(text)[1] if not problem.warning] == ["meter"]


def test_values_in_inline_tables_and_arrays_have_their_own_lines(checked):
    text = """\
site = { id = "x", nme = "y" }
listener = [
  { address = "0.0.0.0:1", security_profile = 0 },
  { address = "0.0.0.0:x",
    security_profile = 0 },
]
chargers.unknown = "?"
"""
    assert [(problem.line, problem.key) for problem in checked(text.replace(",\n    s", ", s"))[1]] == [
        (1, "site.nme"),
        (4, "listener[#2].address"),
        (6, "chargers.unknown"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[site]\nid = "depot', 2, "Illegal character"),
        ("[site]\nid = \n", 2, "Invalid value"),
        ("[site]\nid = [1,\n", 2, "Invalid value"),
        ("[site]\nid = 1\nid = 2\n", 3, "Cannot overwrite a value"),
        ("[site]\n[site]\n", 2, "Cannot declare ('site',) twice"),
    ],
)  # fmt: skip
def test_text_that_is_not_toml_is_told_with_its_line(checked, text, line, message):
    config, problems = checked(text)

    assert config is None
    assert [(problem.line, problem.key) for problem in problems] == [(line, "")]
    if message != "Illegal character":  # an unterminated string is told differently from version to version
        assert problems[0].message == f"{message}; expected TOML: [table], [[table]] or key = value"


def test_names_with_line_ends_do_not_break_a_message(checked, full):
    broken = r'"main\n"'
    text = full.replace('id = "main"', f"id = {broken}\nparent = {broken}").replace(
        'parent = "main"', 'parent = "mainx"'
    )
    text = text.replace("[sessions]", r'[sessions."a\nb"]')

    for problem in checked(text)[1]:
        assert len(str(problem).splitlines()) == 1


def test_a_problem_reads_as_one_line():
    assert str(Problem("edge.toml", 14, "charger[CP-02].password_file", "no such file")) == (
        "edge.toml:14: charger[CP-02].password_file: no such file"
    )
    assert str(Problem("edge.toml", 52, "circuit", "not enforced", warning=True)) == (
        "edge.toml:52: warning: circuit: not enforced"
    )
    assert str(Problem("edge.toml", None, "", "no such file")) == "edge.toml: no such file"


def test_a_meter_that_is_called_as_a_command_is_refused_for_it_could_not_be_asked_for(checked, full):
    config, problems = checked(full.replace('"grid"', '"probe"', 2), known_profiles={"eastron-sdm630", "abb-b23"})
    assert config is None
    assert [(key, message) for _, key, message in lines_of(problems)] == [
        ("meter[probe].id", f'{NAME}, and not "probe", got the string "probe"')
    ]
