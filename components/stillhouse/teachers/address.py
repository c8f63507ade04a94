"""Where an endpoint may be: its address is looked up once, judged, and connected to as it was
judged.

A URL in a settings file may be anybody's idea. Without this it could make the machine that trains
speak to a cloud's metadata service, to a neighbour's database or to itself.
"""

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stillhouse.errors import SettingsError, SourceError

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[..., list[tuple[Any, ...]]]
PORTS = {"http": 80, "https": 443}
# IPv6 forms that carry an IPv4 address: a gateway would deliver to that one
CARRIERS = (("64:ff9b::/96", 0), ("2002::/16", 80))


@dataclass(frozen=True)
class Address:
    """A judged place.

    Attributes:
        scheme: http or https.
        host: As the URL writes it; certificates are compared with it.
        port: TCP.
        path: With the query, as sent.
        ips: Where it is, in the resolver's order; only these are connected to.
    """

    scheme: str
    host: str
    port: int
    path: str
    ips: tuple[str, ...]


def networks(allow: tuple[str, ...], where: str) -> tuple[Network, ...]:
    """Return the address ranges that a setting lists.

    Raises:
        SettingsError: One is no range.
    """
    try:
        return tuple(ipaddress.ip_network(each) for each in allow)
    except ValueError as error:
        raise SettingsError(
            f"{error}.", where=where, fix="Write ranges such as 127.0.0.1 or 10.0.0.0/8."
        ) from None


def parse(url: str, where: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path of a URL.

    Raises:
        SettingsError: It is no http(s) URL, or holds a user name, a fragment or a control
            character.
    """
    fix = "Write https://host/path."
    if any(ord(letter) < 33 or ord(letter) == 127 for letter in url):
        raise SettingsError("the URL holds a blank or control character.", where=where, fix=fix)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"'{url}' is no URL: {error}.", where=where, fix=fix) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise SettingsError(f"'{url}' is no http or https URL.", where=where, fix=fix)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise SettingsError(
            "the URL holds a user name, a password or a fragment.",
            where=where,
            fix="Put a token into an environment variable and name it in `variable`.",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, port or PORTS[parts.scheme], path


def public(ip: IP) -> bool:
    """Whether an address is somebody else's on the open internet."""
    inner = _carried(ip)
    if inner is not None:
        return public(inner)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _carried(ip: IP) -> ipaddress.IPv4Address | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    for network, shift in CARRIERS:
        if ip in ipaddress.ip_network(network):
            return ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFFFFFF)
    return None


def settle(
    url: str,
    allow: tuple[Network, ...],
    *,
    plain: bool,
    where: str,
    resolve: Resolve = socket.getaddrinfo,
) -> Address:
    """Look a URL's host up, once, and keep what may be connected to.

    Args:
        url: http or https.
        allow: Private ranges that are meant.
        plain: Whether http may leave this machine.
        where: The setting, for messages.
        resolve: As `socket.getaddrinfo`.

    Raises:
        SettingsError: Every address is private and not listed, or http would leave the machine.
        SourceError: The host is not known.
    """
    scheme, host, port, path = parse(url, where)
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceError(
            f"the host '{host}' cannot be looked up: {error}.", where=where, fix="Check the URL."
        ) from None
    texts = [str(entry[4][0]).partition("%")[0] for entry in found]
    ips = [ipaddress.ip_address(text) for text in dict.fromkeys(texts)]
    if scheme == "http" and not plain:
        _require_loopback(ips, host, where)
    fit = [ip for ip in ips if public(ip) or any(ip in each for each in allow)]
    if not fit:
        raise SettingsError(
            f"'{host}' is {', '.join(map(str, ips))}, an address inside this network or machine.",
            where=where,
            fix=f"If that is meant, list it: allow: ['{ips[0]}'].",
        )
    return Address(scheme, host, port, path, tuple(map(str, fit)))


def _require_loopback(ips: list[IP], host: str, where: str) -> None:
    for ip in ips:
        if not (_carried(ip) or ip).is_loopback:
            raise SettingsError(
                f"http would send the rows to '{host}' readable by everybody on the way.",
                where=where,
                fix="Use https, or say plain: true.",
            )
