"""Signed firmware: who may sign, what is signed, and what the CSMS and the chargers hear of it."""

import pytest
from simulators.csms import Csms
from simulators.updating import Habits, image

from firmware_bridge.api import Bridge
from tests.firmware.signing import DAY, Manufacturer
from tests.firmware.test_fetching import ended, refused
from tests.firmware.yard import THREE, Internet, bridge, over, requests, settings, yard
from tests.scenarios.site import IDENTITY

AT_ONCE = "2026-01-01T00:00:00Z"
NEW = image("1.1")


def signed(csms):
    return [(one.payload["status"], one.payload["requestId"]) for one in csms.calls("SignedFirmwareStatusNotification")]


def wish(url, signer, content=NEW, request_id=7, **others):
    return {
        "requestId": request_id,
        "firmware": {
            "location": url,
            "retrieveDateTime": AT_ONCE,
            "signingCertificate": signer.pem,
            "signature": signer.signature(content),
            **others,
        },
    }


# --- the bridge


@pytest.mark.parametrize("is_rsa", [False, True])
@pytest.mark.parametrize("is_pss", [True, False])
async def test_a_file_that_is_signed_is_kept_with_its_signer(folder, is_rsa, is_pss):
    manufacturer = Manufacturer()
    signer = manufacturer.signer(is_rsa=is_rsa)
    internet = Internet({"a.bin": NEW})
    chosen = settings(folder, manufacturers_file=manufacturer.roots_file(folder))
    async with internet.running(), bridge(chosen):
        client = Bridge(folder / "firmware.sock")
        checks = {"signature": signer.signature(NEW, is_pss=is_pss), "certificate": signer.pem}
        now = await ended(client, (await client.fetch(internet.url("a.bin"), **checks)).id)
        assert now.state == "stored"
        assert [one.signed_by for one in await client.files()] == ["CN=EVB Firmware"]


async def test_a_wrong_signature_is_not_kept(folder):
    manufacturer = Manufacturer()
    signer, internet = manufacturer.signer(), Internet({"a.bin": NEW})
    chosen = settings(folder, manufacturers_file=manufacturer.roots_file(folder))
    async with internet.running(), bridge(chosen):
        client, url = Bridge(folder / "firmware.sock"), internet.url("a.bin")
        other = signer.signature(image("1.2"))
        why = await refused(client, url, signature=other, certificate=signer.pem)
        assert why.startswith("invalid_signature: ") and "EVB Firmware" in why
        why = await refused(client, url, signature="no base64!", certificate=signer.pem)
        assert why.startswith("invalid_signature: ")
        assert await client.files() == []


async def test_who_may_not_sign_is_known_before_anything_is_fetched(folder):
    manufacturer, stranger = Manufacturer(), Manufacturer("Stranger")
    internet = Internet({"a.bin": NEW})
    chosen = settings(folder, manufacturers_file=manufacturer.roots_file(folder))
    async with internet.running(), bridge(chosen):
        client, url = Bridge(folder / "firmware.sock"), internet.url("a.bin")
        for signer, why in (
            (manufacturer.signer(-3 * DAY, -DAY), "is valid from"),
            (manufacturer.signer(DAY, 3 * DAY), "is valid from"),
            (stranger.signer(), "vouches for"),
        ):
            said = await refused(client, url, signature=signer.signature(NEW), certificate=signer.pem)
            assert said.startswith("invalid_certificate: ") and why in said
        said = await refused(client, url, signature="AAAA", certificate="no certificate")
        assert said.startswith("invalid_certificate: ") and "cannot be read" in said
        assert internet.asked == []


async def test_without_a_trusted_manufacturer_nobody_may_sign(folder):
    signer = Manufacturer().signer()
    async with bridge(settings(folder)):
        said = await refused(
            Bridge(folder / "firmware.sock"), "https://fw.example.com/a.bin",
            signature=signer.signature(NEW), certificate=signer.pem,
        )  # fmt: skip
        assert "manufacturers_file" in said


# --- from the CSMS to the chargers


async def test_signed_firmware_reaches_chargers_with_its_signature_where_they_know_what_that_is(folder):
    manufacturer = Manufacturer()
    internet, signer = Internet({"evb.bin": NEW}), manufacturer.signer()
    habits = {"CP-01": Habits(knows_signed=True)}
    trusted = {"manufacturers_file": manufacturer.roots_file(folder)}
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, chargers=THREE[:2], habits=habits, trusted=trusted) as (_, boxes),
    ):
        await csms.wait_registered(IDENTITY)
        answer = await csms.call(IDENTITY, "SignedUpdateFirmware", wish(internet.url("evb.bin"), signer))
        assert answer == {"status": "Accepted"}
        await csms.wait_for(lambda: signed(csms)[-1:] == [("Installed", 7)], timeout_s=40)
        assert ("SignatureVerified", 7) in signed(csms) and signed(csms)[0] == ("Downloading", 7)
        assert [box.boot["firmwareVersion"] for box in boxes] == ["1.1", "1.1"]
        assert "UpdateFirmware" not in requests(boxes[0]) and "SignedUpdateFirmware" in requests(boxes[0])
        assert "UpdateFirmware" in requests(boxes[1])
        assert not csms.calls("FirmwareStatusNotification")


async def test_a_file_that_was_not_signed_reaches_nobody(folder):
    manufacturer = Manufacturer()
    internet, signer = Internet({"evb.bin": NEW}), manufacturer.signer()
    trusted = {"manufacturers_file": manufacturer.roots_file(folder)}
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, chargers=THREE[:1], trusted=trusted) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        other = wish(internet.url("evb.bin"), signer, content=image("9.9"))
        assert await csms.call(IDENTITY, "SignedUpdateFirmware", other) == {"status": "Accepted"}
        await csms.wait_for(lambda: signed(csms)[-1:] == [("InvalidSignature", 7)], timeout_s=30)
        assert not {"UpdateFirmware", "SignedUpdateFirmware"} & set(requests(box))


async def test_a_charger_that_does_not_take_the_signature_ends_it(folder):
    manufacturer = Manufacturer()
    internet, signer = Internet({"evb.bin": NEW}), manufacturer.signer()
    habits = {"CP-01": Habits(knows_signed=True, takes_signature=False)}
    trusted = {"manufacturers_file": manufacturer.roots_file(folder)}
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, habits=habits, trusted=trusted) as (site, boxes),
    ):
        await csms.wait_registered(IDENTITY)
        await csms.call(IDENTITY, "SignedUpdateFirmware", wish(internet.url("evb.bin"), signer))
        ended_so = await over(site)
        assert ended_so["failed"] == 1 and "signature" in ended_so["chargers"][0]["why"]
        assert not {"UpdateFirmware", "SignedUpdateFirmware"} & set(requests(boxes[1]) + requests(boxes[2]))
        await csms.wait_for(lambda: signed(csms)[-1:] == [("InstallationFailed", 7)], timeout_s=30)


async def test_what_is_wrong_with_a_request_is_answered(folder):
    manufacturer = Manufacturer()
    internet, signer = Internet({"evb.bin": NEW}), manufacturer.signer()
    trusted = {"manufacturers_file": manufacturer.roots_file(folder)}
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, chargers=THREE[:1], trusted=trusted) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        for url, by, status in (
            (internet.url("evb.bin"), manufacturer.signer(-3 * DAY, -DAY), "InvalidCertificate"),
            (internet.url("evb.bin"), Manufacturer("Stranger").signer(), "InvalidCertificate"),
            ("file:///etc/passwd", signer, "Rejected"),
            (internet.url("evb.bin#target=CP-99"), signer, "Rejected"),
        ):
            assert await csms.call(IDENTITY, "SignedUpdateFirmware", wish(url, by)) == {"status": status}
        assert internet.asked == [] and not signed(csms)
        assert not {"UpdateFirmware", "SignedUpdateFirmware"} & set(requests(box))


async def test_a_newer_one_takes_the_place_of_one_that_nobody_installs(folder):
    manufacturer = Manufacturer()
    internet, signer = Internet({"evb.bin": NEW, "evc.bin": image("1.2")}), manufacturer.signer()
    trusted = {"manufacturers_file": manufacturer.roots_file(folder)}
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, chargers=THREE[:1], trusted=trusted) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        later = wish(internet.url("evb.bin"), signer, installDateTime="2099-01-01T00:00:00Z")
        assert await csms.call(IDENTITY, "SignedUpdateFirmware", later) == {"status": "Accepted"}
        newer = wish(internet.url("evc.bin"), signer, content=image("1.2"), request_id=8)
        assert await csms.call(IDENTITY, "SignedUpdateFirmware", newer) == {"status": "AcceptedCanceled"}
        await csms.wait_for(lambda: signed(csms)[-1:] == [("Installed", 8)], timeout_s=40)
        assert box.boot["firmwareVersion"] == "1.2" and len(box.updating.downloads) == 1


async def test_the_csms_may_ask_by_the_extension_how_far_it_is(folder):
    async with Csms() as csms, yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]):
        await csms.wait_registered(IDENTITY)
        for message, action in (
            ("FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
            ("LogStatusNotification", "LogStatusNotification"),
        ):
            ask = {"requestedMessage": message}
            assert await csms.call(IDENTITY, "ExtendedTriggerMessage", ask) == {"status": "Accepted"}
            await csms.wait_for(
                lambda action=action: [one.payload for one in csms.calls(action)] == [{"status": "Idle"}]
            )
