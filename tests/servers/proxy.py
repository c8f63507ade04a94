"""A proxy between a client and an HTTP server that loses, repeats, delays and cuts what passes
through it, by path and by count.

What is decided before the server sees a request is told apart from what is decided after it has
acted: an answer that is lost after the commit is the fault that finds bugs.
"""

import contextlib
import http.client
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Kind = Literal[
    "drop_before",  # the server never sees it
    "drop_after",  # it acted, and nobody hears of it
    "error_before",  # 500, and it was not asked
    "unavailable_after",  # it acted, and the client is told 503
    "delay",  # late: perhaps after the client has given up
    "half",  # it acted, and half of its answer arrives
    "duplicate",  # it is told twice
]
KINDS: tuple[Kind, ...] = (
    "drop_before",
    "drop_after",
    "error_before",
    "unavailable_after",
    "delay",
    "half",
    "duplicate",
)
_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "te",
    "upgrade",
    "expect",
}


@dataclass
class Fault:
    """One way of failing.

    Attributes:
        kind: What happens.
        path: Regular expression that the request's path has to hold.
        at: Which of the matching requests, from 1; empty means all.
        seconds: Of a delay.
        method: Only requests of this method; empty means all.
    """

    kind: Kind
    path: str = ""
    at: frozenset[int] = frozenset()
    seconds: float = 3.0
    method: str = ""
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        if (self.method and method != self.method) or re.search(self.path, path) is None:
            return False
        self.seen += 1
        return not self.at or self.seen in self.at


@dataclass
class Chaos:
    """Random faults: each request is struck with a chance.

    Attributes:
        lot: Where chance comes from.
        share: Of the requests that are struck.
        path: Regular expression of those that can be.
        seconds: Of a delay.
        kinds: What can happen.
    """

    lot: random.Random
    share: float
    path: str = ""
    seconds: float = 3.0
    kinds: tuple[Kind, ...] = KINDS

    def draw(self, path: str) -> Kind | None:
        if re.search(self.path, path) is None or self.lot.random() >= self.share:
            return None
        return self.lot.choice(self.kinds)


@dataclass
class Proxy:
    """Listens on loopback and passes on to a server there.

    Attributes:
        upstream: The server's port.
        faults: Asked in order for each request; the first that strikes decides.
        chaos: Asked when none did.
        silent: While set, requests are taken and never answered.
        struck: How often each kind struck.
        passed: How many requests came.
        watch: Called with (method, path) before a request is passed on.
    """

    upstream: int
    faults: list[Fault] = field(default_factory=list)
    chaos: Chaos | None = None
    silent: bool = False
    struck: "Counter[str]" = field(default_factory=Counter)
    passed: int = 0
    watch: Callable[[str, str], None] = field(default=lambda method, path: None)
    flying: int = 0  # requests that are not through yet
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: "_Server | None" = None
    _port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def open(self) -> "Proxy":
        """Listen; on the same port as before, if it did once."""
        self._server = _Server(("127.0.0.1", self._port), _Handler, self)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def close(self) -> None:
        """Refuse connections from now on, as a server that is gone."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def quiet(self) -> None:
        """No faults from now on."""
        self.faults, self.chaos, self.silent = [], None, False

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Be gone for a while."""
        self.close()
        try:
            yield
        finally:
            self.open()

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until nothing is on its way any more: also what a dead client sent."""
        until = time.monotonic() + seconds
        while self.flying and time.monotonic() < until:
            time.sleep(0.05)
        assert not self.flying, f"{self.flying} requests are still on their way"

    @contextlib.contextmanager
    def through(self) -> Iterator[None]:
        with self._lock:
            self.flying += 1
        try:
            yield
        finally:
            with self._lock:
                self.flying -= 1

    def decide(self, method: str, path: str) -> tuple[Kind | None, float]:
        with self._lock:
            self.passed += 1
            for fault in self.faults:
                if fault.strikes(method, path):
                    self.struck[fault.kind] += 1
                    return fault.kind, fault.seconds
            drawn = self.chaos.draw(path) if self.chaos else None
            if drawn:
                self.struck[drawn] += 1
            return drawn, self.chaos.seconds if self.chaos else 0.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], handler: Any, proxy: Proxy) -> None:
        super().__init__(address, handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _answer(self) -> None:
        with self.server.proxy.through():
            self._pass_on()

    def _pass_on(self) -> None:
        proxy = self.server.proxy
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(length) if length else b""
        proxy.watch(self.command, self.path)
        while proxy.silent:
            time.sleep(0.05)
        kind, seconds = proxy.decide(self.command, self.path)
        if kind == "drop_before":
            return self._cut()
        if kind == "error_before":
            return self._send(500, b'{"error_code": "INTERNAL_ERROR", "message": "injected"}', {})
        if kind == "delay":
            time.sleep(seconds)
        status, headers, data = self._forward(body)
        if kind == "duplicate":
            self._forward(body)
        if kind == "drop_after":
            return self._cut()
        if kind == "unavailable_after":
            return self._send(503, b"", {})
        return self._send(status, data, headers, half=kind == "half")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        kept = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, kept)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            return 502, {}, b""
        finally:
            connection.close()
        return answer.status, dict(answer.getheaders()), data

    def _send(
        self, status: int, data: bytes, headers: dict[str, str], *, half: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if half else data)
        self.close_connection = True

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
