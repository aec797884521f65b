"""Security profile 2 on both sides of the site: what gets through, and what people are told of what does not."""

import asyncio
import contextlib
import json
import re
import shutil
import ssl
import warnings
from datetime import timedelta

import pytest
import structlog
from simulators.charger import Charger
from simulators.csms import Csms
from websockets.exceptions import InvalidHandshake

from edge.config import Listener
from edge.tls.contexts import Pair
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration, replace
from tests.scenarios.test_chargers import basic, handshake
from tests.tls.authority import NOW, Authority, self_signed
from tests.tls.peers import knock, shaking_hands

KEY = b"0123456789abcdef"
CHARGERS = (ChargerSettings("CP-01", password=KEY, evses=(1, 1)),)
DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="session")
def pairs(authority):
    """One certificate of each kind of key, as ocpp-rules.md A.5 wants it of a listener."""
    return [authority.issue(f"gateway-{key}", "DNS:localhost", "IP:127.0.0.1", key=key) for key in ("rsa", "ec")]


def listener(*pairs, profile=2) -> Listener:
    files = dict(zip(("cert_file", "key_file", "second_cert_file", "second_key_file"),
                     [path for pair in pairs for path in (pair.cert_file, pair.key_file)], strict=False))  # fmt: skip
    return Listener("127.0.0.1", 0, "/ocpp", profile, **files)


def secured(folder, *pairs, csms_url=None, **options):
    config = configuration(folder, csms_url=csms_url, chargers=CHARGERS, **options)
    return replace(config, listeners=(listener(*pairs),))


def trusting(authority, **versions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TLS 1.0 and 1.1 are deprecated: that is the point
        for name, version in versions.items():
            setattr(context, name, version)
    if versions:
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def wss(site: Site) -> str:
    return site.url.replace("ws://", "wss://")


# --- chargers


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-GCM-SHA256", None])
async def test_a_charger_charges_over_wss_and_the_cloud_gets_its_transaction(folder, csms, authority, pairs, suite):
    context = trusting(authority)
    if suite is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suite)
    async with Site(secured(folder, *pairs, csms_url=csms.url)).running() as site:
        charger = Charger("CP-01", wss(site), password=KEY, ssl_context=context, meter_interval_s=0)
        async with charger.running():
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            await charger.stop_session(1)
            await csms.wait_for(lambda: csms.calls("StopTransaction"))
            shown = (await site.ask("chargers"))["chargers"][0]
            assert (shown["state"], shown["address"].split(":")[0]) == ("online", "127.0.0.1")
        listeners = (await site.ask("chargers"))["listeners"]
        assert [one["security_profile"] for one in listeners] == [2]
        assert [one["key"] for one in listeners[0]["certificates"]] == ["RSA", "ECDSA"]
        assert listeners[0]["certificates"][0]["hosts"] == ["localhost", "127.0.0.1"]
        assert (listeners[0]["failed_handshakes"], listeners[0]["last_failure"]) == ({}, None)


@pytest.mark.parametrize(
    ("identity", "headers", "unknown", "status"),
    [
        ("CP-01", basic("CP-01", KEY), "reject", 101),
        ("CP-01", basic("CP-01", b"wrong"), "reject", 401),
        ("CP-01", {}, "reject", 401),
        ("CP-01", {}, "accept", 401),
        ("NEW", basic("NEW", KEY), "reject", 404),
        ("NEW", basic("NEW", KEY), "accept", 101),
        ("NEW", {}, "accept", 401),
    ],
)
async def test_a_password_is_asked_for_over_tls_too(folder, authority, pairs, identity, headers, unknown, status):
    async with Site(secured(folder, pairs[1], unknown=unknown)).running() as site:
        url = f"{wss(site)}/{identity}"
        assert await handshake(url, additional_headers=headers, ssl=trusting(authority)) == status


async def test_each_listener_has_its_own_profile(folder, authority, pairs):
    config = secured(folder, pairs[1])
    config = replace(config, listeners=(Listener("127.0.0.1", 0, "/ocpp", 1), *config.listeners))
    async with Site(config).running() as site:
        plain, tls = site.daemon.charger_ports
        options = {"additional_headers": basic("CP-01", KEY)}
        assert await handshake(f"ws://127.0.0.1:{plain}/ocpp/CP-01", **options) == 101
        assert await handshake(f"wss://localhost:{tls}/ocpp/CP-01", ssl=trusting(authority), **options) == 101


@pytest.mark.parametrize(
    ("charger", "cause", "words"),
    [
        ("distrusts", "our_certificate_not_trusted", 'it does not know who signed our certificate ("Test Root"): install'),
        ("other host", "our_certificate_not_trusted", "it refuses our certificate, most often because the host in its U"),
        ("old", "tls_too_old", "it offers only TLS 1.0 or 1.1, expected 1.2 or newer: update its firmware"),
        ("no cipher", "no_shared_cipher", "it offers no cipher suite that goes with our certificate (ECDSA): some charg"),
        ("hangs up", "gave_up", "it closed the connection during the TLS handshake without saying why; often it does not"),
        ("plain", "no_tls", "it speaks plain ws:// to a port with TLS: set wss:// in its URL, or give the URL the port"),
    ],
)  # fmt: skip
async def test_a_failed_handshake_is_one_line_that_says_what_it_means(folder, authority, pairs, charger, cause, words):
    async with Site(secured(folder, pairs[1])).running() as site:
        port = site.daemon.charger_ports[0]
        with structlog.testing.capture_logs() as lines:
            match charger:
                case "distrusts":
                    assert await knock(port, ssl.create_default_context()) is not None
                case "other host":
                    assert await knock(port, trusting(authority), "other.local") is not None
                case "old":
                    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
                    assert await knock(port, trusting(authority, **old)) is not None
                case "no cipher":
                    limited = trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
                    limited.set_ciphers("AES128-GCM-SHA256")
                    assert await knock(port, limited) is not None
                case "hangs up":
                    with pytest.raises(ssl.SSLError):
                        await handshake(wss(site), ssl=ssl.create_default_context())
                case "plain":
                    with pytest.raises(InvalidHandshake):
                        await handshake(site.url)
            shown = await site.until("chargers", lambda d: [one for one in d["listeners"] if one["last_failure"]])
        (line,) = [line for line in lines if line["event"] == "tls_handshake_failed"]
        assert (line["log_level"], line["address"], line["port"]) == ("warning", "127.0.0.1", port)
        assert line["why"].startswith(words)
        assert shown[0]["failed_handshakes"] == {cause: 1}
        assert shown[0]["last_failure"] | {"at": ""} == {"at": "", "address": "127.0.0.1", "message": line["why"]}
        assert (
            await handshake(f"{wss(site)}/CP-01", additional_headers=basic("CP-01", KEY), ssl=trusting(authority))
            == 101
        )


async def test_a_charger_that_speaks_tls_to_a_plain_port_is_told_from_garbage(folder, authority):
    async with Site(configuration(folder, chargers=CHARGERS, security_profile=1)).running() as site:
        assert await knock(site.daemon.charger_ports[0], trusting(authority)) is not None
        (shown,) = await site.until("chargers", lambda d: [one for one in d["listeners"] if one["last_failure"]])
        assert shown["last_failure"]["message"].startswith("it speaks TLS (wss://) to a port without")
        assert shown["failed_handshakes"] == {"tls": 1}
        assert await handshake(f"{site.url}/CP-01", additional_headers=basic("CP-01", KEY)) == 101


async def test_a_scanner_does_not_fill_the_log(folder, pairs):
    async with Site(secured(folder, pairs[1])).running() as site:
        with structlog.testing.capture_logs() as lines:
            for _ in range(20):
                _, writer = await asyncio.open_connection("127.0.0.1", site.daemon.charger_ports[0])
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                writer.close()
                await writer.wait_closed()
            await site.until("chargers", lambda d: d["listeners"][0]["failed_handshakes"].get("no_tls") == 20)
        assert len([line for line in lines if line["event"] == "tls_handshake_failed"]) == 1


async def test_handshakes_that_never_end_are_dropped_and_keep_nobody_else_waiting(folder, authority, pairs):
    async with Site(secured(folder, pairs[1])).running() as site:
        port = site.daemon.charger_ports[0]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        options = {"ssl": trusting(authority), "server_hostname": "localhost", "local_addr": ("127.0.0.2", 0)}
        async with asyncio.timeout(5):
            for _ in range(3):
                assert await handshake(f"wss://127.0.0.1:{port}/ocpp/CP-01",
                                       additional_headers=basic("CP-01", KEY), **options) == 101  # fmt: skip
        async with asyncio.timeout(15):
            for reader, writer in silent[:32]:
                assert await reader.read() == b""
                writer.close()
        shown = (await site.ask("chargers"))["listeners"][0]
        assert shown["failed_handshakes"]["too_slow"] >= 32
        for _, writer in silent[32:]:
            writer.close()


async def test_a_reload_takes_a_new_certificate_into_use_and_cuts_no_charger(folder, tmp_path, authority, pairs):
    in_use = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")

    def install(pair: Pair) -> None:
        shutil.copy(pair.cert_file, in_use.cert_file)
        shutil.copy(pair.key_file, in_use.key_file)

    def shown(document: dict) -> str:
        return document["listeners"][0]["certificates"][0]["subject"]

    install(pairs[1])
    async with Site(secured(folder, in_use)).running() as site:
        charger = Charger("CP-01", wss(site), password=KEY, ssl_context=trusting(authority), meter_interval_s=0)
        async with charger.running():
            await charger.connect()
            assert shown(await site.ask("chargers")) == "gateway-ec"
            install(authority.issue("renewed", "DNS:localhost", "IP:127.0.0.1"))
            site.daemon.reload()
            await site.until("chargers", lambda d: shown(d) == "renewed")
            assert await charger.authorize("A") == "Accepted"
            assert len(charger.boots) == 1
            await charger.disconnect()
            await charger.connect()


# --- the uplink


async def _last_error(folder, url: str, **uplink) -> str:
    async with Site(configuration(folder, csms_url=url, **uplink)).running() as site:
        return await site.until("uplink", lambda d: d["uplink"]["last_error"])


def localhost(csms: Csms) -> str:
    return csms.url.replace("127.0.0.1", "localhost")


@contextlib.asynccontextmanager
async def plain_web_server():
    async def answer(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def _serving(pair, **versions) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, version in versions.items():
            setattr(context, name, version)
    if versions:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(pair.cert_file, pair.key_file)
    return context


async def test_the_uplink_over_wss_shows_its_password_and_checks_the_certificate(folder, authority, pairs):
    async with Csms(ssl_context=_serving(pairs[0]), password=KEY) as csms:
        for url in (csms.url, csms.url.replace("127.0.0.1", "localhost")):
            config = configuration(folder, csms_url=url, ca_file=authority.certificate, password=KEY)
            async with Site(config).running() as site:
                await csms.wait_registered(IDENTITY)
                assert (await site.ask("status"))["uplink"]["last_error"] is None
            csms.forget_registration(IDENTITY)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("expired", "is not trusted: it expired at {past:%Y-%m-%d %H:%M} UTC; this machine's clock says "),
        ("early", "is not trusted: it is valid from {future:%Y-%m-%d %H:%M} UTC; this machine's clock says "),
        ("other host", "is not trusted: it is for other.local, 192.0.2.1, not for localhost: is the host in uplink.url"),
        ("unknown", 'is not trusted: it is signed by "Somebody Else", which leads to no certificate in the file of upli'),
        ("self-signed", 'is not trusted: it is self-signed by "localhost" and not in the file of uplink.ca_file ('),
    ],
)  # fmt: skip
async def test_a_certificate_of_the_cloud_that_is_refused_is_explained(folder, tmp_path, authority, shown, words):
    past, future = NOW - DAY, NOW + 2 * DAY
    match shown:
        case "expired":
            pair = authority.issue("expired", "DNS:localhost", since=NOW - 9 * DAY, until=past)
        case "early":
            pair = authority.issue("early", "DNS:localhost", since=future)
        case "other host":
            pair = authority.issue("elsewhere", "DNS:other.local", "IP:192.0.2.1")
        case "unknown":
            pair = Authority(tmp_path / "other", "Somebody Else").issue("unknown", "DNS:localhost")
        case _:
            pair = self_signed(tmp_path, "self")
    async with Csms(ssl_context=_serving(pair)) as csms:
        error = await _last_error(folder, localhost(csms), ca_file=authority.certificate)
        assert words.format(past=past, future=future) in error
        assert error.startswith("the certificate of wss://localhost:")
        if shown in {"expired", "early"}:
            assert "if that is wrong, set it" in error
        assert csms.frames == []


async def test_an_unknown_issuer_without_a_ca_file_names_the_key_that_mends_it(folder, authority, pairs):
    async with Csms(ssl_context=_serving(pairs[0])) as csms:
        error = await _last_error(folder, localhost(csms))
        assert error.endswith(
            'is not trusted: it is signed by "Test Root", which leads to no certificate in the authorities of this '
            "system. Get the root certificate from the CSMS's operator and name a file with it (PEM) in uplink.ca_file"
        )


async def test_a_cloud_with_old_tls_or_without_tls_or_with_tls_unasked_is_told_apart(folder, authority, pairs):
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with shaking_hands(_serving(pairs[0], **old)) as port:
        error = await _last_error(folder, f"wss://localhost:{port}/ocpp", ca_file=authority.certificate)
        assert error.endswith("offers only TLS 1.0 or 1.1, expected 1.2 or newer: the CSMS has to be updated")
    async with Csms(ssl_context=_serving(pairs[0], **old)) as csms:  # asyncio hangs up without an alert
        error = await _last_error(folder, localhost(csms), ca_file=authority.certificate)
        assert "closed the connection during the TLS handshake or right after it: it may have no TLS on" in error
    async with plain_web_server() as port:
        error = await _last_error(folder, f"wss://localhost:{port}/ocpp")
        assert "does not speak TLS on this port: is it the right one? A CSMS without TLS needs ws://" in error
    async with Csms(ssl_context=_serving(pairs[0])) as csms:
        error = await _last_error(folder, csms.url.replace("wss://", "ws://"))
        assert error.endswith("speaks TLS on this port: use wss:// and security_profile 2")


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_cloud_that_demands_our_certificate_says_so_and_gets_it(folder, authority, pairs, newest):
    context = _serving(pairs[0])
    context.maximum_version = newest
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    with shaking_hands(context) as port:
        error = await _last_error(folder, f"wss://localhost:{port}/ocpp", ca_file=authority.certificate)
        assert re.search("demands? a certificate of ours", error)
    async with Csms(ssl_context=context) as csms:
        ours = authority.issue(IDENTITY)
        files = {"cert_file": ours.cert_file, "key_file": ours.key_file, "ca_file": authority.certificate}
        async with Site(configuration(folder, csms_url=csms.url, **files)).running():
            await csms.wait_registered(IDENTITY)


async def test_a_certificate_file_that_is_replaced_counts_from_the_next_connection(folder, tmp_path, authority, pairs):
    trusted = tmp_path / "trusted.pem"
    trusted.write_text("not yet copied")
    other = Authority(tmp_path / "other", "Somebody Else")
    async with Csms(ssl_context=_serving(pairs[0])) as csms:
        async with Site(configuration(folder, csms_url=csms.url, ca_file=trusted)).running() as site:
            error = await site.until("uplink", lambda d: d["uplink"]["last_error"])
            unusable = "the certificate files of the uplink cannot be used"
            assert error == f"{unusable}: trusted.pem: holds no certificate in PEM form"
            trusted.write_bytes(other.certificate.read_bytes())
            await site.until("uplink", lambda d: "is not trusted" in (d["uplink"]["last_error"] or ""))
            trusted.write_bytes(authority.certificate.read_bytes())
            await csms.wait_registered(IDENTITY)


# --- dates


async def test_certificates_that_expire_within_30_days_raise_an_alarm(folder, authority):
    soon = authority.issue("soon", "DNS:localhost", "IP:127.0.0.1", until=NOW + 20 * DAY)
    async with Csms(ssl_context=_serving(soon)) as csms:
        config = secured(folder, soon, csms_url=csms.url, ca_file=authority.certificate)
        with structlog.testing.capture_logs() as lines:
            async with Site(config).running() as site:
                await csms.wait_registered(IDENTITY)
                alarms = (await site.ask("status"))["alarms"]
                port = site.daemon.charger_ports[0]
        found = {one["subject"]: one for one in alarms if one["code"] == "certificate_expires"}
        assert set(found) == {f"listener 127.0.0.1:{port}", "CSMS"}
        until = NOW + 20 * DAY
        assert found["CSMS"]["message"] == (
            f'the certificate of "soon" expires at {until:%Y-%m-%d %H:%M} UTC, in 19 days'
        )
        assert found["CSMS"]["since"] == f"{NOW - 10 * DAY:%Y-%m-%dT%H:%M:%S}.000Z"
        assert [line["shown_by"] for line in lines if line["event"] == "certificate_expires"] == [
            f"listener 127.0.0.1:{port}"
        ]
        assert json.dumps(alarms)


async def test_certificates_with_time_left_raise_none(folder, csms, pairs):
    async with Site(secured(folder, *pairs, csms_url=csms.url)).running() as site:
        assert [one for one in (await site.ask("status"))["alarms"] if one["code"] == "certificate_expires"] == []
