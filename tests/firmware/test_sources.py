"""Which URLs may be fetched, and which addresses may be asked for them (reliability.md S12)."""

import ipaddress

import pytest

from firmware_bridge.errors import Refused
from firmware_bridge.sources import allowed, clean_name, objection, parse


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://a.example/",
        "javascript:alert(1)",
        "//a.example/x",
        "https://",
        "https:///x",
        "https://a b.example/",
        "https://a.example/\nHost: b",
        "https://a.example\\@b.example/",
        "https://a.example:0/",
        "https://a.example:99999/",
        "https://[::1/",
        "https://ä.example/",
        "https://a.example/" + "x" * 2000,
        "https://u%0ad:p@a.example/",
    ],
)
def test_what_is_no_url_to_fetch_is_refused(url):
    with pytest.raises(Refused):
        parse(url)


def test_a_source_is_shown_without_anything_secret():
    source = parse("https://user:pass%40word@Host.Example:8443/a/evb%201.bin?key=secret#x")
    assert source.shown == "https://host.example:8443/a/evb%201.bin"
    assert (source.user, source.password, source.path) == ("user", "pass@word", "/a/evb%201.bin?key=secret")
    assert source.name == "evb_1.bin"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("evb-1.4.bin", "evb-1.4.bin"),
        ("../../etc/passwd", "etc_passwd"),
        (".hidden", "hidden"),
        ("", "file"),
        ("a b\x00c;d.bin", "a_b_c_d.bin"),
        ("x" * 300 + ".tar.gz", "x" * 80 + "x" * 13 + ".tar.gz"),
    ],
)
def test_a_name_is_safe_and_keeps_its_ending(written, name):
    assert clean_name(written) == name


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:c0a8:101::",
        "fec0::1", "64:ff9b:1::a00:1", "::a00:1", "::ffff:0:a00:1",
    ],
)  # fmt: skip
def test_without_entries_only_public_addresses_are_asked(address):
    assert objection(parse("https://fw.example.com/x"), ipaddress.ip_address(address), ()) is not None


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f::1", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"])
def test_without_entries_every_public_address_may_be_asked(address):
    assert objection(parse("https://fw.example.com/x"), ipaddress.ip_address(address), ()) is None


def test_without_entries_only_secure_protocols_are_used():
    public = ipaddress.ip_address("93.184.215.14")
    assert objection(parse("https://fw.example.com/x"), public, ()) is None
    assert objection(parse("sftp://fw.example.com/x"), public, ()) is None
    assert "not secure" in str(objection(parse("http://fw.example.com/x"), public, ()))
    assert "not secure" in str(objection(parse("ftp://fw.example.com/x"), public, ()))


@pytest.mark.parametrize(
    ("entry", "url", "address", "may"),
    [
        ("http://fw.example.com", "http://fw.example.com/x", "93.184.215.14", True),
        ("http://fw.example.com", "http://fw.example.com/x", "10.0.0.5", True),
        ("http://fw.example.com", "http://fw.example.com/x", "127.0.0.1", False),
        ("http://fw.example.com", "http://fw.example.com/x", "169.254.169.254", False),
        ("http://fw.example.com", "http://fw.example.com/x", "::ffff:169.254.169.254", False),
        ("http://fw.example.com", "https://fw.example.com/x", "93.184.215.14", False),
        ("http://fw.example.com", "http://evil.example.com/x", "93.184.215.14", False),
        ("http://*.example.com", "http://evil.example.com/x", "93.184.215.14", True),
        ("http://*.example.com", "http://badexample.com/x", "93.184.215.14", False),
        ("http://*.example.com", "http://example.com/x", "93.184.215.14", False),
        ("http://fw.example.com:8080", "http://fw.example.com/x", "93.184.215.14", False),
        ("http://fw.example.com:8080", "http://fw.example.com:8080/x", "93.184.215.14", True),
        ("ftp://10.0.0.0/8", "ftp://10.0.0.5/x", "10.0.0.5", True),
        ("ftp://10.0.0.0/8", "ftp://nas.local/x", "10.0.0.5", True),
        ("ftp://10.0.0.0/8", "ftp://11.0.0.5/x", "11.0.0.5", False),
        ("http://127.0.0.1", "http://localhost/x", "127.0.0.1", True),
    ],
)
def test_with_entries_only_what_they_list(entry, url, address, may):
    assert (objection(parse(url), ipaddress.ip_address(address), [allowed(entry)]) is None) is may


@pytest.mark.parametrize("url", ["https://bob:s3c/ret@h/x", "https://bob:s3c#ret@h/x", "https://bob:s3c?ret@h/x"])
def test_a_password_that_makes_it_no_url_is_told_nobody(url):
    with pytest.raises(Refused) as refused:
        parse(url)
    assert "s3c" not in str(refused.value)
