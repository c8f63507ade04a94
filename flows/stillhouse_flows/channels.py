"""The ways to reach people: a webhook, e-mail, a notification block of Prefect (Slack and others).

Addresses hold secrets: they come from the environment, are asked for when something is sent, and
stand in no setting, file, log or error.

    STILLHOUSE_NOTIFY_WEBHOOK   https://hooks.example.org/…            JSON by POST
    STILLHOUSE_NOTIFY_EMAIL     smtps://user:password@mail.example.org/?to=ops@example.org
    STILLHOUSE_NOTIFY_BLOCK     slack-webhook/ops                      a block on Prefect's server
    STILLHOUSE_NOTIFY_PLAIN     1 allows http and mail without TLS to other machines than this one
"""

import http.client
import ipaddress
import json
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from stillhouse import environment
from stillhouse.errors import SettingsError
from stillhouse_flows.outbox import Channel, Entry, NotDelivered

if TYPE_CHECKING:
    from pydantic import SecretStr

SECONDS = 10.0
PREFIX = "STILLHOUSE_NOTIFY_"


def configured() -> dict[str, Channel]:
    """Return the channels that the environment names.

    Raises:
        SettingsError: An address has a scheme or a form that cannot be meant; it is not repeated.
    """
    plain = environment.secret(f"{PREFIX}PLAIN") is not None
    found: dict[str, Channel] = {}
    for name, (make, schemes) in KINDS.items():
        secret = environment.secret(f"{PREFIX}{name.upper()}")
        if secret is not None:
            _require(name, secret, schemes)
            found[name] = make(secret, plain)
    return found


def _require(name: str, secret: "SecretStr", schemes: tuple[str, ...]) -> None:
    try:
        url = urlsplit(secret.get_secret_value())
        ok = url.scheme in schemes and (not schemes[0] or bool(url.hostname)) and url.port != 0
    except ValueError:
        ok = False
    if not ok:
        raise SettingsError(
            "the address cannot be meant.",
            where=f"{PREFIX}{name.upper()}",
            fix=f"Write {EXAMPLES[name]}.",
        )


def address(host: str, port: int, *, plain: bool, allowed: bool) -> str:
    """Resolve a host once and return the address to connect to, so that what was judged is what is
    used.

    Args:
        host: As the address names it.
        port: TCP.
        plain: Whether nothing encrypts the way.
        allowed: Whether that is allowed to other machines too.

    Raises:
        NotDelivered: It has no address, one that nobody may be sent to, or the way is plain and
            leaves this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        raise NotDelivered("the host has no address.", fix="Check its name.") from None
    ip = ipaddress.ip_address(str(found).partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise NotDelivered("nothing is sent to link-local, multicast or unspecified addresses.")
    if plain and not allowed and not ip.is_loopback:
        raise NotDelivered(
            "the way is not encrypted and leaves this machine.",
            fix=f"Use https or smtps, or set {PREFIX}PLAIN=1.",
        )
    return str(found)


@dataclass(frozen=True)
class Webhook:
    """JSON by POST; the key is the header `Idempotency-Key`."""

    url: "SecretStr"
    plain: bool = False
    name: str = "webhook"

    def send(self, entry: Entry) -> None:
        url = urlsplit(self.url.get_secret_value())
        body = json.dumps(entry.payload(), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": entry.key,
            "Host": url.netloc.rpartition("@")[2],
        }
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        try:
            way = self._way(url)
            try:
                way.request("POST", path, body, headers)
                status = way.getresponse().status
            finally:
                way.close()
        except (OSError, http.client.HTTPException) as error:
            raise NotDelivered(f"the webhook did not take it: {type(error).__name__}.") from None
        if not 200 <= status < 300:
            redirected = "; redirects are not followed" if 300 <= status < 400 else ""
            raise NotDelivered(f"the webhook answered {status}{redirected}.")

    def _way(self, url: SplitResult) -> http.client.HTTPConnection:
        """A connection to the address that was judged; TLS still asks for the host's name."""
        safe, host = url.scheme == "https", str(url.hostname)
        port = url.port or (443 if safe else 80)
        to = address(host, port, plain=not safe, allowed=self.plain)
        way = http.client.HTTPConnection(host, port, timeout=SECONDS)
        sock = socket.create_connection((to, port), timeout=SECONDS)
        way.sock = _encrypted(sock, host) if safe else sock
        return way


def _encrypted(sock: socket.socket, host: str) -> socket.socket:
    try:
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


@dataclass(frozen=True)
class Email:
    """A mail; the key is part of its Message-ID. smtp:// asks for STARTTLS where it leaves this
    machine.
    """

    url: "SecretStr"
    plain: bool = False
    name: str = "email"

    def send(self, entry: Entry) -> None:
        url = urlsplit(self.url.get_secret_value())
        try:
            with self._server(url) as server:
                if url.username:
                    server.login(unquote(url.username), unquote(url.password or ""))
                server.send_message(_mail(entry, parse_qs(url.query)))
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(f"the mail server answered {error.smtp_code}.") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(
                f"the mail server did not take it: {type(error).__name__}."
            ) from None

    def _server(self, url: SplitResult) -> smtplib.SMTP:
        host, context = str(url.hostname), ssl.create_default_context()
        port = url.port or (465 if url.scheme == "smtps" else 587)
        address(host, port, plain=False, allowed=self.plain)
        if url.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
        server = smtplib.SMTP(host, port, timeout=SECONDS)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            else:
                address(host, port, plain=True, allowed=self.plain)
        except BaseException:
            server.close()
            raise
        return server


def _mail(entry: Entry, query: dict[str, list[str]]) -> EmailMessage:
    mail, said = EmailMessage(), entry.message
    one_line = " ".join(said.text.split())
    mail["Subject"] = f"{said.model}: {said.kind}" + (
        f" version {said.version}" if said.version else ""
    )
    mail["To"] = ", ".join(query.get("to", []))
    mail["From"] = query.get("from", ["stillhouse@localhost"])[0]
    mail["Message-ID"] = f"<{entry.key}@stillhouse>"
    mail.set_content(f"{one_line}\n\nwritten {entry.written}\nkey {entry.key}\n")
    return mail


@dataclass(frozen=True)
class Block:
    """A notification block on Prefect's server, such as `slack-webhook/ops`."""

    slug: "SecretStr"
    plain: bool = False
    name: str = "block"

    def send(self, entry: Entry) -> None:
        from prefect.blocks.core import Block as AnyBlock

        said = entry.message
        try:
            block = AnyBlock.load(self.slug.get_secret_value())
            block.notify(  # type: ignore[union-attr]
                body=f"{said.text}\n({entry.key})", subject=f"{said.model}: {said.kind}"
            )
        except Exception as error:  # every block raises its own; its text may hold an address
            raise NotDelivered(
                f"the block did not take it: {type(error).__name__}.",
                fix="Check PREFECT_API_URL and the block on Prefect's page.",
            ) from None


Make = Callable[["SecretStr", bool], Channel]
KINDS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "webhook": (Webhook, ("https", "http")),
    "email": (Email, ("smtps", "smtp")),
    "block": (Block, ("",)),
}
EXAMPLES = {
    "webhook": "https://host/path",
    "email": "smtps://user:password@host/?to=name@host",
    "block": "type/name, such as slack-webhook/ops",
}
