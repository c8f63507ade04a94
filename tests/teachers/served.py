"""A real HTTP server that can misbehave in many ways, one at a time."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import torch
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

WEIGHT = torch.randn(64, 10, generator=torch.Generator().manual_seed(3))
Speech = dict[str, Any]


def chances(inputs: Any) -> list[list[float]]:
    """What the model behind the URL says of images."""
    return (torch.tensor(inputs).flatten(1) @ WEIGHT).double().softmax(dim=1).tolist()


class Server(ThreadingHTTPServer):
    """Answers well unless `behave` names a misbehaviour; `times` says how often it misbehaves."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave, self.times = "well", 10**9
        self.requests: list[Speech] = []
        self.headers: list[dict[str, str]] = []
        self.classes: list[str] | None = None
        self.weight_shift = 0.0
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/answer"

    @property
    def asked(self) -> list[int]:
        """Every row's number that ever came, in order."""
        return [row for request in self.requests for row in request["rows"]]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.requests.append({"rows": [], "path": self.path})
        self._send(200, b"{}")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(asked)
        self.server.headers.append(dict(self.headers))
        kind = self.server.behave if self.server.times > 0 else "well"
        self.server.times -= 1
        getattr(self, kind)(asked)

    def _send(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _say(self, rows: list[int], probabilities: list[list[float]]) -> None:
        said: Speech = {"rows": rows, "probabilities": probabilities}
        if self.server.classes is not None:
            said["classes"] = self.server.classes
        self._send(200, json.dumps(said).encode())

    def well(self, asked: Speech) -> None:
        rows = list(reversed(asked["rows"]))  # the order is the server's own affair
        found = chances(asked["inputs"])
        if self.server.weight_shift:
            found = [row[::-1] for row in found]
        self._say(rows, list(reversed(found)))

    def tells(self, asked: Speech) -> None:
        """Say a quantity of a table's rows: 100 times their first column, flat."""
        said = [100.0 * row["x"] for row in asked["inputs"]]
        self._send(200, json.dumps({"rows": asked["rows"], "values": said}).encode())

    def spreads(self, asked: Speech) -> None:
        """Say its quantiles, by name, in an order of its own."""
        said = [[row["x"] + 1, row["x"], row["x"] - 1] for row in asked["inputs"]]
        told = {"rows": asked["rows"], "values": said, "classes": ["q0.9", "q0.5", "q0.1"]}
        self._send(200, json.dumps(told).encode())

    def overflows(self, asked: Speech) -> None:
        said = [1e300 for _ in asked["rows"]]
        self._send(200, json.dumps({"rows": asked["rows"], "values": said}).encode())

    # --- misbehaviours ----------------------------------------------------------------------------

    def half(self, asked: Speech) -> None:
        count = len(asked["rows"]) // 2
        self._say(asked["rows"][:count], chances(asked["inputs"])[:count])

    def doubled(self, asked: Speech) -> None:
        self._say(asked["rows"] * 2, chances(asked["inputs"]) * 2)

    def strangers(self, asked: Speech) -> None:
        self._say([row + 100_000 for row in asked["rows"]], chances(asked["inputs"]))

    def garbage(self, asked: Speech) -> None:
        self._send(200, b"<html>so sorry</html>")

    def unsummed(self, asked: Speech) -> None:
        self._say(asked["rows"], [[0.5 * p for p in row] for row in chances(asked["inputs"])])

    def negative(self, asked: Speech) -> None:
        self._say(asked["rows"], [[-0.5, 1.5, *row[2:]] for row in chances(asked["inputs"])])

    def nan(self, asked: Speech) -> None:
        self._send(
            200,
            json.dumps({"rows": asked["rows"], "probabilities": [[float("nan")] * 10]}).encode(),
        )

    def narrow(self, asked: Speech) -> None:
        self._say(asked["rows"], [[0.5, 0.5] for _ in asked["rows"]])

    def ragged(self, asked: Speech) -> None:
        self._say(
            asked["rows"], [row[: 10 - at % 2] for at, row in enumerate(chances(asked["inputs"]))]
        )

    def deep(self, asked: Speech) -> None:
        self._send(200, b"[" * 200_000 + b"]" * 200_000)

    def huge(self, asked: Speech) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(400):
                self.wfile.write(b" " * 1_000_000)

    def redirect(self, asked: Speech) -> None:
        self._send(302, b"", Location="http://169.254.169.254/latest/meta-data/")

    def packed(self, asked: Speech) -> None:
        self._send(200, b"\x1f\x8b", Content_Encoding="gzip")

    def too_many(self, asked: Speech) -> None:
        self._send(429, b"", Retry_After="7")

    def too_many_until(self, asked: Speech) -> None:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
        self._send(429, b"", Retry_After=later)

    def too_many_today(self, asked: Speech) -> None:
        self._send(429, b"", Retry_After="3600")

    def broken(self, asked: Speech) -> None:
        self._send(500, b"oops")

    def forbidden(self, asked: Speech) -> None:
        self._send(403, b"no token")

    def echoes(self, asked: Speech) -> None:
        self._send(401, b"nobody knows " + self.headers["Authorization"].encode())

    def hangs_up(self, asked: Speech) -> None:
        self.connection.close()

    def cut(self, asked: Speech) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b'{"rows": [')
        self.close_connection = True

    def no_http(self, asked: Speech) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def drips(self, asked: Speech) -> None:
        with contextlib.suppress(OSError):
            for letter in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200:
                self.wfile.write(bytes([letter]))
                time.sleep(0.05)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that it signed itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        made.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


@contextlib.contextmanager
def serving(secured: Path | None = None) -> Iterator[Server]:
    with Server() as server:
        if secured is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(secured)
            server.scheme = "https"
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
