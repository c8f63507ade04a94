"""One question over HTTP, within limits of bytes and seconds, to an address that was judged.

No redirect is followed, no proxy of the environment is asked, no certificate is waved through.
"""

import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import SecretStr

from stillhouse.teachers.address import PORTS, Address

CHUNK = 65_536


class Lost(Exception):
    """No whole answer came, and the next try may be luckier; the message says what happened."""


class Untrusted(Exception):
    """Its certificate is none that this machine trusts; nothing was sent."""


class TooLarge(Exception):
    """The answer is larger than an answer can be."""


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: HTTP's.
        wait: Seconds that the server asks to be left alone; None where it does not say.
        place: Where a redirect would have led.
        data: The body.
    """

    status: int
    wait: float | None
    place: str
    data: bytes


class _Deadline:
    """Cuts a connection off: a socket's own timeout begins anew with every byte that drips in."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._held: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def watch(self, held: socket.socket) -> socket.socket:
        self._held = held
        if self.passed:
            self._cut()
        return held

    def _cut(self) -> None:
        self.passed = True
        if self._held is not None:
            try:
                self._held.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def post(
    address: Address, body: bytes, *, seconds: float, most: int, token: SecretStr | None
) -> Reply:
    """Send JSON and return the answer.

    Args:
        address: Judged.
        body: JSON.
        seconds: For all of it, from the first packet to the last.
        most: Bytes of the answer.
        token: Sent as a bearer token.

    Raises:
        Lost: It was refused, cut off, too slow or not HTTP.
        Untrusted: Its certificate is not trusted.
        TooLarge: More than `most` bytes came.
    """
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "User-Agent": "stillhouse",
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token.get_secret_value()}"
    with _Deadline(seconds) as deadline:
        try:
            return _exchange(address, body, headers, deadline, seconds=seconds, most=most)
        except ssl.SSLCertVerificationError as error:
            raise Untrusted(error.verify_message) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.passed or isinstance(error, TimeoutError):
                raise Lost(f"no whole answer came within {seconds:g} s") from None
            raise Lost(f"{type(error).__name__}: {error}".rstrip(": ")[:200]) from None


def _exchange(
    address: Address,
    body: bytes,
    headers: dict[str, str],
    deadline: _Deadline,
    *,
    seconds: float,
    most: int,
) -> Reply:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=seconds)
    connection.auto_open = 0  # it would look the host up again
    connection.default_port = PORTS[address.scheme]
    connection.sock = _connect(address, deadline, seconds)
    try:
        connection.request("POST", address.path, body=body, headers=headers)
        with connection.getresponse() as response:
            data = _read(response, most)
            if deadline.passed:
                raise TimeoutError
            return Reply(
                response.status,
                _seconds(response.getheader("Retry-After"), response.getheader("Date")),
                (response.getheader("Location") or "")[:200],
                data,
            )
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    encoding = (response.getheader("Content-Encoding") or "identity").lower()
    if encoding != "identity":
        raise ValueError(f"the answer is packed as {encoding[:20]}, which was not asked for")
    data = response.read(most + 1)
    if len(data) > most:
        raise TooLarge
    if response.length:  # what the header promised and did not come
        raise ValueError("the answer was cut short")
    return data


def _connect(address: Address, deadline: _Deadline, seconds: float) -> Any:
    error: OSError = ConnectionError("there is no address")
    for ip in address.ips:
        try:
            held = deadline.watch(socket.create_connection((ip, address.port), timeout=seconds))
        except OSError as found:
            error = found
            continue
        if address.scheme == "http":
            return held
        context = ssl.create_default_context()
        return deadline.watch(context.wrap_socket(held, server_hostname=address.host))
    raise error


def _seconds(text: str | None, now: str | None) -> float | None:
    """Return how long `Retry-After` asks us to wait, in seconds or until a time by the server's own
    clock.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until, since = (parsedate_to_datetime(each or "") for each in (text, now))
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError):  # no times, or one of them without a zone
        return None
