"""Each channel against a real server on loopback, and everything that it must refuse."""

import base64
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stillhouse.errors import SettingsError
from stillhouse_flows import channels
from stillhouse_flows.outbox import Entry, Message, NotDelivered

SAID = Message("promoted", "digits", "head 1", "Version 1 is the champion.", 1)
ENTRY = Entry("a1b2c3", "webhook", SAID, "2026-01-01T00:00:00+00:00")


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def web(
    status: int = 204,
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[tuple[int, list[Any]]]:
    """A web server; what it got as (path, headers, body)."""
    got: list[Any] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers), body))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that refuses our certificate hangs up

    server = Quiet(("127.0.0.1", 0), Answers)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield port, got


@contextmanager
def mail(refuses: bool = False) -> Iterator[tuple[int, list[str]]]:
    """A mail server that speaks as much SMTP as a client needs; what it was told, line by line."""
    told: list[str] = []

    class Speaks(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                told.append(line)
                word = line.split()[0].upper()
                if word == "EHLO":
                    self.say("250-here")
                    self.say("250 AUTH PLAIN")
                elif word == "AUTH":
                    self.say("235 welcome")
                elif word == "DATA":
                    self.say("354 go on")
                    while (data := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        told.append(data)
                    self.say("250 taken")
                elif word == "RCPT" and refuses:
                    self.say("550 nobody of that name, ann:hunter2")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Speaks)
    server.daemon_threads = True
    with serving(server) as port:
        yield port, told


def configured(monkeypatch: pytest.MonkeyPatch, **urls: str) -> dict[str, Any]:
    for name, url in urls.items():
        monkeypatch.setenv(f"STILLHOUSE_NOTIFY_{name.upper()}", url)
    return channels.configured()


def test_nothing_is_configured_by_itself():
    assert channels.configured() == {}


def test_a_webhook_gets_json_with_its_key(monkeypatch: pytest.MonkeyPatch):
    with web() as (port, got):
        url = f"http://127.0.0.1:{port}/hooks/s3cret?a=1"
        configured(monkeypatch, webhook=url)["webhook"].send(ENTRY)
    [(path, headers, body)] = got
    assert path == "/hooks/s3cret?a=1"
    assert headers["Idempotency-Key"] == "a1b2c3"
    assert json.loads(body) == {
        "kind": "promoted",
        "model": "digits",
        "about": "head 1",
        "text": "Version 1 is the champion.",
        "version": 1,
        "key": "a1b2c3",
        "written": "2026-01-01T00:00:00+00:00",
    }


@pytest.mark.parametrize("status", [199 + 1, 202, 204])
def test_any_good_answer_is_an_arrival(monkeypatch: pytest.MonkeyPatch, status: int):
    with web(status) as (port, got):
        configured(monkeypatch, webhook=f"http://127.0.0.1:{port}/")["webhook"].send(ENTRY)
    assert len(got) == 1


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_bad_answer_is_no_arrival_and_the_address_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, status: int
):
    with web(status) as (port, _):
        way = configured(monkeypatch, webhook=f"http://127.0.0.1:{port}/s3cret")["webhook"]
        with pytest.raises(NotDelivered, match=str(status)) as caught:
            way.send(ENTRY)
    assert "s3cret" not in str(caught.value)


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch):
    with (
        web() as (other, elsewhere),
        web(302, {"Location": f"http://127.0.0.1:{other}/"}) as (
            port,
            got,
        ),
    ):
        way = configured(monkeypatch, webhook=f"http://127.0.0.1:{port}/")["webhook"]
        with pytest.raises(NotDelivered, match="redirects are not followed"):
            way.send(ENTRY)
    assert (len(got), elsewhere) == (1, [])


def test_nobody_there_is_no_arrival(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    way = configured(monkeypatch, webhook=f"http://127.0.0.1:{port}/s3cret")["webhook"]
    with pytest.raises(NotDelivered, match="ConnectionRefusedError") as caught:
        way.send(ENTRY)
    assert "s3cret" not in str(caught.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody signed but itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    began = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, began, began + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return path


def test_a_certificate_that_nobody_signed_is_refused_and_one_that_is_trusted_is_not(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with web(tls=context) as (port, got):
        way = configured(monkeypatch, webhook=f"https://localhost:{port}/")["webhook"]
        with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
            way.send(ENTRY)
        assert got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        way.send(ENTRY)
        assert len(got) == 1
        elsewhere = configured(monkeypatch, webhook=f"https://127.0.0.1:{port}/")["webhook"]
        with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
            elsewhere.send(ENTRY)  # trusted, but of another name


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name have these addresses, one after another; return who was asked for."""
    asked, left = [], list(addresses)

    def answer(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0), port))]

    monkeypatch.setattr(channels.socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize("ip", ["10.0.0.7", "8.8.8.8", "::ffff:8.8.8.8"])
def test_a_plain_way_to_another_machine_is_refused_unless_a_flag_says_so(
    monkeypatch: pytest.MonkeyPatch, ip: str
):
    resolves(monkeypatch, ip, ip, ip)
    with pytest.raises(NotDelivered, match="not encrypted"):
        channels.address("a.example", 80, plain=True, allowed=False)
    assert channels.address("a.example", 80, plain=True, allowed=True) == ip
    assert channels.address("a.example", 443, plain=False, allowed=False) == ip


@pytest.mark.parametrize(
    "ip", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%1", "224.0.0.1", "0.0.0.0"]
)
def test_addresses_that_no_receiver_has_are_refused_on_every_way(
    monkeypatch: pytest.MonkeyPatch, ip: str
):
    resolves(monkeypatch, ip)
    with pytest.raises(NotDelivered, match="link-local"):
        channels.address("a.example", 443, plain=False, allowed=True)


def test_the_address_that_was_judged_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch):
    with web() as (port, got):
        way = configured(monkeypatch, webhook=f"http://a.example:{port}/")["webhook"]
        asked = resolves(monkeypatch, "127.0.0.1", "127.0.0.1", "169.254.169.254")
        way.send(ENTRY)
    assert [headers["Host"] for _, headers, _ in got] == [f"a.example:{port}"]
    assert asked == ["a.example", "127.0.0.1"]  # the second is asked of a number


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("webhook", "ftp://a.example/s3cret"),
        ("webhook", "file:///s3cret"),
        ("webhook", "https:///s3cret"),
        ("webhook", "https://[s3cret"),
        ("webhook", "s3cret"),
        ("email", "https://s3cret"),
        ("block", "https://s3cret"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
):
    with pytest.raises(SettingsError, match=f"NOTIFY_{name.upper()}") as caught:
        configured(monkeypatch, **{name: url})
    assert "s3cret" not in str(caught.value)


def test_a_mail_arrives_with_its_key(monkeypatch: pytest.MonkeyPatch):
    with mail() as (port, told):
        url = f"smtp://ann:h%40nter2@127.0.0.1:{port}/?to=a@example.org&to=b@example.org&from=c@d.e"
        configured(monkeypatch, email=url)["email"].send(ENTRY)
    auth = next(line for line in told if line.startswith("AUTH"))
    assert base64.b64decode(auth.split()[2]) == b"\0ann\0h@nter2"
    assert [line for line in told if line.startswith("rcpt")] == [
        "rcpt TO:<a@example.org>",
        "rcpt TO:<b@example.org>",
    ]
    assert "Message-ID: <a1b2c3@stillhouse>" in told
    assert "Subject: digits: promoted version 1" in told
    assert "Version 1 is the champion." in told


def test_a_refused_mail_is_no_arrival_and_tells_no_secret(monkeypatch: pytest.MonkeyPatch):
    with mail(refuses=True) as (port, _):
        way = configured(monkeypatch, email=f"smtp://127.0.0.1:{port}/?to=a@example.org")["email"]
        with pytest.raises(NotDelivered) as caught:
            way.send(ENTRY)
    assert "hunter2" not in str(caught.value)


def test_mail_without_encryption_to_another_machine_is_not_sent(monkeypatch: pytest.MonkeyPatch):
    with mail() as (port, told):
        way = configured(monkeypatch, email=f"smtp://127.0.0.1:{port}/?to=a@example.org")["email"]
        way.send(ENTRY)  # positive control: loopback is allowed
        before = len(told)

        def judged(*words: Any, plain: bool, **rest: Any) -> str:
            if plain:
                raise NotDelivered("the way is not encrypted and leaves this machine.")
            return "127.0.0.1"

        monkeypatch.setattr(channels, "address", judged)
        with pytest.raises(NotDelivered, match="not encrypted"):
            way.send(ENTRY)
    assert [line for line in told[before:] if not line.upper().startswith(("EHLO", "QUIT"))] == []
