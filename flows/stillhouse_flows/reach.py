"""Whether the servers that somebody else runs are there, asked by one light question each while
everything else starts: hours of work, or half a minute of imports, are not spent to find out.
"""

import contextlib
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from stillhouse.clock import SYSTEM, Clock
from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable
from stillhouse.tracking.redact import redact
from stillhouse_flows.server import plain

PATIENCE = 8.0  # seconds in which a server that restarts may come back
SECONDS = 4.0  # of one question
PAUSE = 0.5  # seconds
GATEWAY = (502, 503, 504)  # a proxy answers, and says that there is nobody behind it


@dataclass
class Probe:
    """One server, asked in a thread of its own.

    Attributes:
        server: Its address.
        variable: The environment variable that names it.
        clock: For the pauses.
        trouble: Why it does not answer; empty while nobody knows, and if it does.
    """

    server: str
    variable: str
    clock: Clock = SYSTEM
    trouble: str = ""
    _thread: threading.Thread | None = field(default=None, repr=False)

    def begin(self) -> "Probe":
        """Ask, without waiting for the answer."""
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def wait(self) -> str:
        """Return the trouble; one that may be old by now is asked about once more."""
        if self._thread is not None:
            self._thread.join()
        if self.trouble:
            self.trouble = silence(f"{plain(self.server)}/health")
        return self.trouble

    def _ask(self) -> None:
        until = self.clock.seconds() + PATIENCE
        while True:
            self.trouble = silence(f"{plain(self.server)}/health")
            if not self.trouble or self.clock.seconds() + PAUSE > until:
                return
            self.clock.sleep(PAUSE)


@dataclass(frozen=True)
class Probes:
    """The servers of a place, by name."""

    found: dict[str, Probe]

    def require(self, name: str) -> None:
        """Wait until a server has answered; nothing to do for one that is ours.

        Raises:
            ServerUnreachable: It does not; the message names others that do not either.
        """
        asked = self.found.get(name)
        if asked is None or not asked.wait():
            return
        others = {n: p for n, p in self.found.items() if n != name and p.wait()}
        also = "".join(f" Nor does {n} at {redact(p.server)}." for n, p in others.items())
        raise ServerUnreachable(
            f"{name} does not answer: {asked.trouble}.{also}",
            where=redact(asked.server),
            fix=f"Start {'them' if also else 'it'}, or check "
            f"{' and '.join([asked.variable, *(p.variable for p in others.values())])}.",
        )


def silence(url: str) -> str:
    """Return why nobody answers at a URL; empty if somebody does, whatever the answer.

    A certificate that urllib does not know, for one, is left to the client that comes after us.
    """
    try:
        with contextlib.closing(urllib.request.urlopen(url, timeout=SECONDS)):
            return ""
    except urllib.error.HTTPError as error:
        return f"its gateway says {error.code}" if error.code in GATEWAY else ""
    except TimeoutError:
        return "no answer came in time"
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        return _WHY.get(type(reason).__name__, "")
    except ValueError:
        return ""


_WHY = {
    "ConnectionRefusedError": "the connection was refused",
    "ConnectionResetError": "the connection was cut",
    "RemoteDisconnected": "the connection was cut",
    "TimeoutError": "no answer came in time",
    "gaierror": "there is no such host",
}


def probes(place: Place) -> Probes:
    """Begin to ask MLflow and Prefect, where they are servers."""
    named = {
        "MLflow": (place.tracking_uri, "MLFLOW_TRACKING_URI"),
        "Prefect's server": (place.prefect_url or "", "PREFECT_API_URL"),
    }
    return Probes(
        {
            name: Probe(url.rstrip("/"), variable).begin()
            for name, (url, variable) in named.items()
            if url.startswith(("http://", "https://"))
        }
    )
