"""What is known of a model: matched by vendor, model and firmware, and refused when the file is wrong."""

from importlib.resources import files

import pytest

from edge.dialects import models
from edge.dialects.models import Profile
from edge.domain.ids import Make
from edge.domain.peculiarities import Rule

SHIPPED = models.parse(files("edge.dialects").joinpath("models.toml").read_text(encoding="utf-8"))

SOME = models.parse(
    """
[[model]]
vendor = "Acme"
model = "Box.*"
firmware = ">=5.0, <6.0"
boot_quiet_s = 5
trigger = "zero_first"
tolerances = ["json_extra_comma"]

[[model]]
vendor = "acme.*"
model = ".*"
configuration_keys_at_most = 2
tolerances = ["json_missing_value"]
boot_quiet_s = 7
"""
)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Make(), Profile()),
        (Make("Other", "Box", "5.1"), Profile()),
        (
            Make("ACME", "box 2", "5.8.1-4187"),
            Profile(7, 2, "zero_first", True, frozenset({Rule.JSON_EXTRA_COMMA, Rule.JSON_MISSING_VALUE})),
        ),
        (Make("Acme", "Box", "6.0"), Profile(7, 2, tolerances=frozenset({Rule.JSON_MISSING_VALUE}))),
        (Make("Acme", "Box", None), Profile(7, 2, tolerances=frozenset({Rule.JSON_MISSING_VALUE}))),
        (Make("Acme", "Box", "none"), Profile(7, 2, tolerances=frozenset({Rule.JSON_MISSING_VALUE}))),
    ],
)
def test_a_charger_is_treated_by_all_entries_that_fit(make, expected):
    assert SOME.profile(make) == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Make("Wall Box Chargers", "PULSAR-PLUS", "5.17.65"), Profile(boot_quiet_s=20)),
        (
            Make("Grizzl-E", "Smart 48A", "05.43"),
            Profile(
                tolerances=frozenset({Rule.JSON_MISSING_BRACKET, Rule.SUBPROTOCOL_MISSING}), remote_start_delay_s=1.5
            ),
        ),
        (Make("SyncEV", "EVSM7PP", None), Profile(values_on_demand=True)),
        (Make("EN+", "AC7000", None), Profile(answers_pings=False)),
        (Make("ZJ Beny", "BCP-AT1N", None), Profile(tolerances=frozenset({Rule.JSON_EXTRA_COMMA}))),
        (Make("Mennekes", "Amtron", None), Profile(trigger="zero_first")),
        (Make("Entratek", "Power Dot Pro", None), Profile(configuration_keys_at_most=1)),
        (Make("Open OCPP", "Open OCPP CP", "0.1"), Profile()),
    ],
)
def test_the_shipped_file_knows_the_models_of_the_field(make, expected):
    assert SHIPPED.profile(make) == expected


@pytest.mark.parametrize(
    ("version", "within", "expected"),
    [("5.8", ">=5.8", True), ("5.8.1", "<=5.8", True), ("5.9", "<=5.8", False), ("6", ">5.8", True), ("5.8.3", ">5.8", False),
     ("5.8.3", "=5.8", True), ("5.8", "<5.8", False), ("05.43", ">=5.4, <5.5", False)],
)  # fmt: skip
def test_a_firmware_is_within_a_range(version, within, expected):
    known = models.parse(f'[[model]]\nvendor = "A"\nmodel = "B"\nfirmware = "{within}"\nboot_quiet_s = 1')
    assert (known.profile(Make("A", "B", version)) == Profile(boot_quiet_s=1)) is expected


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("quiet = 5", "quiet"),
        ("boot_quiet_s = 500", "boot_quiet_s"),
        ('trigger = "all"', "trigger"),
        ('tolerances = ["null_member"]', "tolerances"),
        ('tolerances = ["nonsense"]', "tolerances"),
        ('firmware = "5.x"', "firmware"),
        ("answers_pings = 1", "answers_pings"),
        ("remote_start_delay_s = 60", "remote_start_delay_s"),
        ('values_on_demand = "yes"', "values_on_demand"),
    ],
)
def test_what_nothing_uses_or_nobody_understands_is_refused(line, word):
    with pytest.raises(ValueError, match=f"model 1 .*{word}"):
        models.parse(f'[[model]]\nvendor = "A"\nmodel = "B"\n{line}')


def test_vendor_and_model_must_be_patterns():
    for text in ('vendor = "["\nmodel = ".*"', 'vendor = "A"'):
        with pytest.raises(ValueError, match="regular expressions"):
            models.parse(f"[[model]]\n{text}")
