"""Which places an endpoint may be at. A stub stands for the resolver: nothing is looked up."""

import socket
from ipaddress import ip_address
from typing import Any

import pytest

from stillhouse.errors import SettingsError, SourceError
from stillhouse.teachers.address import Address, networks, settle


def at(*ips: str) -> Any:
    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(0, 0, 0, "", (ip, port)) for ip in ips]

    return resolve


def settled(url: str, *ips: str, allow: tuple[str, ...] = (), plain: bool = False) -> Address:
    return settle(url, networks(allow, "x"), plain=plain, where="teacher.url", resolve=at(*ips))


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.1",
    "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("ip", PRIVATE)
def test_a_private_address_is_refused_unless_it_is_listed(ip: str) -> None:
    with pytest.raises(SettingsError, match="inside this network or machine") as caught:
        settled("https://model.example/x", ip)
    assert "allow:" in caught.value.fix
    assert settled("https://model.example/x", ip, allow=(ip,)).ips == (str(ip_address(ip)),)


@pytest.mark.parametrize("ip", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_an_address_on_the_open_internet_is_fine(ip: str) -> None:
    assert settled("https://model.example/x?y=1", ip) == Address(
        "https", "model.example", 443, "/x?y=1", (ip,)
    )


@pytest.mark.parametrize(
    "host",
    ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::ffff:7f00:1]", "[::1]"],
)
def test_other_ways_to_write_loopback_are_seen_through(host: str) -> None:
    with pytest.raises(SettingsError, match="inside this network or machine"):
        settle(f"http://{host}:8000/", (), plain=False, where="teacher.url")
    allowed = settle(
        f"http://{host}:8000/",
        networks(("127.0.0.0/8", "::1", "::ffff:127.0.0.0/104"), "x"),
        plain=False,
        where="teacher.url",
    )
    assert allowed.port == 8000


def test_only_the_addresses_that_were_judged_are_connected_to() -> None:
    assert settled("https://a.example/", "10.0.0.1", "93.184.216.34").ips == ("93.184.216.34",)


def test_a_name_that_is_rebound_is_looked_up_once() -> None:
    calls = []

    def rebinding(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        calls.append(host)
        return [(0, 0, 0, "", ("93.184.216.34" if len(calls) == 1 else "127.0.0.1", port))]

    found = settle("https://a.example/", (), plain=False, where="x", resolve=rebinding)
    assert (found.ips, len(calls)) == (("93.184.216.34",), 1)


def test_http_leaves_this_machine_only_if_told_so() -> None:
    with pytest.raises(SettingsError, match="readable by everybody"):
        settled("http://a.example/", "93.184.216.34")
    settled("http://a.example/", "93.184.216.34", plain=True)
    settled("http://a.example/", "127.0.0.1", allow=("127.0.0.1",))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "file:///etc/passwd", "gopher://a.example", "https:///x", "a.example",
        "https://user:pass@a.example/", "https://a.example/#x", "https://a.example/ x",
        "https://a.example/\r\nX: y", "https://a.example:99999/",
    ],
)  # fmt: skip
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        settled(url, "93.184.216.34")


def test_a_host_that_nobody_knows_is_told() -> None:
    def unknown(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(SourceError, match="cannot be looked up"):
        settle("https://nowhere.example/", (), plain=False, where="x", resolve=unknown)


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="does not appear"):
        networks(("10.0.0.0/99",), "teacher.allow")
    assert len(networks(("10.0.0.0/8", "::1"), "x")) == 2
