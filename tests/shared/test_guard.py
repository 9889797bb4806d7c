"""What the guard lets through and what it does not."""

import pytest

from shared.errors import Misconfigured
from shared.guard import Blocked, check_address, is_public, parse_origins

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254
172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b:1::a00:1 100::1
2001::1 2001:db8::1 2002:7f00:1:: 2002:a00:1:: 3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 100.63.255.255 172.32.0.1 223.255.255.255
2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_an_address_that_is_not_the_publics_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(address)


def test_allowed_origins_are_read_from_a_list() -> None:
    assert parse_origins("127.0.0.1:8099, Intra.Example:80 [::1]:81") == {
        ("127.0.0.1", 8099),
        ("intra.example", 80),
        ("::1", 81),
    }


@pytest.mark.parametrize(
    "text",
    ["localhost", ":80", "host:", "host:http", "a..b:80", ".a:80", "a/b:80", "u@a:80", "a:0", "a:65536", "a:8_0"],
)
def test_an_allowed_origin_without_a_possible_host_or_port_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="HOST:PORT"):
        parse_origins(text)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "127.1", "0x7f000001", "[::1]", "[::ffff:10.0.0.1]", "localhost", "a.localhost."]
)
def test_a_host_that_is_not_the_publics_by_its_very_name_is_refused(host: str) -> None:
    with pytest.raises(Blocked, match=r"allow it with --allow-host .+:8080 or HALFTONE_ALLOW_HOSTS"):
        check_address(f"http://{host}:8080/feed", parse_origins("127.0.0.1:80"))


def test_port_0_is_named_as_it_is() -> None:
    with pytest.raises(Blocked, match=r"^127\.0\.0\.1:0 is not on"):
        check_address("http://127.0.0.1:0/", parse_origins(""))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://[::1]:81/", "https://8.8.8.8/", "http://intranet.example/"]
)
def test_a_host_that_is_allowed_public_or_known_to_the_dns_alone_is_let_through(url: str) -> None:
    check_address(url, parse_origins("127.0.0.1:80 [::1]:81"))
