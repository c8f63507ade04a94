"""Secrets of every kind, in every place that a team may put one; a run that promotes and some that
fail; and then every sink, read byte by byte.
"""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flows.test_channels import mail, serving, web
from integration.house import WARNINGS, House, project
from servers.postgres import Postgres, binary
from servers.standing import Standing
from servers.team import SMALL
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

pytestmark = [pytest.mark.stories, pytest.mark.filterwarnings(*WARNINGS)]

MODEL = "c0ntrol"  # no secret: it has to be found wherever secrets are looked for
PIXELS = tuple(f"p{at}" for at in range(64))
PLACES = (
    "git",
    "warehouse",
    "teacher",
    "studies",
    "hook",
    "mail",
    "mlflow",
    "tracking",
    "prefect",
    "bucket",
    "remote",
    "setting",
)
SECRET = {place: f"c4nary{number:02d}{place}Zq" for number, place in enumerate(PLACES)}
INPUTS = (".env", ".git/config", ".dvc/config.local")  # where they were put


@dataclass
class Endpoint:
    """A teacher behind HTTP, which may tell us our own token in its refusal."""

    model: Any
    refuses: bool = False
    tokens: set[str] = field(default_factory=set)

    def answer(self, token: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.tokens.add(token)
        if self.refuses:
            return 401, {"error": f"'{token}' is nobody's", "token": token}
        rows = np.array([[row[name] for name in PIXELS] for row in asked["inputs"]])
        found = self.model.predict_proba(rows)
        classes = [str(name) for name in self.model.classes_]
        return 200, {"rows": asked["rows"], "probabilities": found.tolist(), "classes": classes}

    @contextmanager
    def open(self) -> Iterator[str]:
        mine = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                status, said = mine.answer(token, json.loads(body))
                self.send_response(status)
                data = json.dumps(said).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words: object) -> None:
                pass

        with serving(ThreadingHTTPServer(("127.0.0.1", 0), Answers)) as port:
            yield f"http://127.0.0.1:{port}/ask"


@dataclass
class Titles:
    """What stood in the command lines of all processes, looked at again and again."""

    seen: set[bytes] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        while not self.over.wait(0.1):
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(place.read_bytes())
                except OSError:
                    continue


def stored(database: Postgres, digits: Any) -> str:
    """Write the rows as a table into PostgreSQL, and return its address with a password."""
    import psycopg

    database.create("warehouse")
    database.create("secret_studies")
    address = database.address("warehouse")
    with psycopg.connect(address, autocommit=True) as opened:
        columns = ", ".join(f"{name} float8" for name in PIXELS)
        opened.execute(f"create table pictures (id int primary key, {columns}, digit text)")  # type: ignore[arg-type]
        with opened.cursor().copy("copy pictures from stdin") as copy:
            for at, (row, digit) in enumerate(zip(digits.data / 16, digits.target, strict=True)):
                copy.write_row((at, *map(float, row), str(digit)))
    return with_password(address, "warehouse")


def with_password(address: str, place: str) -> str:
    scheme, _, rest = address.partition("://")
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{(user or 'ann').partition(':')[0]}:{SECRET[place]}@{host}"


def forms(secret: str) -> tuple[bytes, ...]:
    """Return the ways in which a secret may stand somewhere: plain, and in base64 at each offset."""
    coded = [base64.b64encode(b"x" * at + secret.encode()).decode()[4:-4] for at in range(3)]
    return (secret.encode(), *(piece.encode() for piece in coded))


def holding(wanted: tuple[bytes, ...], sinks: dict[str, bytes]) -> list[str]:
    return [name for name, data in sinks.items() if any(form in data for form in wanted)]


def files(top: Path, skip: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    return {
        str(path): path.read_bytes()
        for path in top.rglob("*")
        if path.is_file() and path.relative_to(top).as_posix() not in skip
    }


def dumped(database: Postgres, name: str) -> bytes:
    """Return all that a database holds, as text."""
    words = [binary("pg_dump") or "pg_dump", "--data-only", database.address(name)]
    return subprocess.run(words, check=True, capture_output=True).stdout


@pytest.fixture
def house(database: Postgres, mlflow: Standing, prefect: Standing, tmp_path: Path) -> House:
    """A project that has a secret in each place."""
    asked = f"select id, {', '.join(PIXELS)}, digit from pictures"
    source = {"name": "sql", "variable": "WAREHOUSE", "query": asked, "key": "id"}
    data = {"prepare": {"source": {**source, "target": "digit"}}}
    rules = [*SMALL["gate"]["rules"], {"name": "collapse", "gates": False}]
    changes = {"model": MODEL, **SMALL, **data, "gate": {"rules": rules}}
    made = project(tmp_path / "a project", changes)
    env = {
        "WAREHOUSE": stored(database, load_digits()),
        "TEACHER_TOKEN": SECRET["teacher"],
        "STILLHOUSE_STUDIES": with_password(database.address("secret_studies"), "studies"),
        "MLFLOW_TRACKING_URI": with_password(mlflow.url, "mlflow"),
        "MLFLOW_TRACKING_PASSWORD": SECRET["tracking"],
        "PREFECT_API_URL": f"{prefect.url}/api",
        "PREFECT_API_AUTH_STRING": f"ann:{SECRET['prefect']}",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": SECRET["bucket"],
    }
    (made.root / ".env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
    made.git("remote", "add", "origin", f"https://ann:{SECRET['git']}@127.0.0.1/x.git")
    made.dvc("remote", "add", "--local", "-d", "team", "https://127.0.0.1/x")
    made.dvc("remote", "modify", "--local", "team", "password", SECRET["remote"])
    return made


def test_no_secret_reaches_a_log_a_database_a_receipt_or_a_command_line(
    house: House, database: Postgres, mlflow: Standing, prefect: Standing
) -> None:
    digits, said, odd, titles = load_digits(), [], [], Titles()
    learned = LogisticRegression(max_iter=200).fit(digits.data / 16, digits.target.astype(str))
    endpoint = Endpoint(learned)
    watcher = threading.Thread(target=titles.look, daemon=True)
    watcher.start()

    def do(*words: object, code: int, **env: str) -> Any:
        done = house.stillhouse(*words, env=env, code=None)
        said.append(f"{done.out}\n{done.err}")
        if done.code != code:
            odd.append(f"{words} ended with {done.code}: {done.said[-600:]}")
        return done

    with endpoint.open() as url, web() as (port, got), mail() as (smtp, told):
        teacher = (
            f"{{name: endpoint, url: '{url}', variable: TEACHER_TOKEN, allow: [127.0.0.1], "
            "rate: 100, gate: null}"
        )
        ways = {
            "STILLHOUSE_NOTIFY_WEBHOOK": f"http://127.0.0.1:{port}/hooks/{SECRET['hook']}",
            "STILLHOUSE_NOTIFY_EMAIL": f"smtp://ann:{SECRET['mail']}@127.0.0.1:{smtp}/?to=o@x.org",
        }
        run = ("run", "--set", f"teacher={teacher}")
        do(*run, code=0, **ways)
        # Positive controls: where a secret is of use, it arrived.
        assert endpoint.tokens == {SECRET["teacher"]}
        assert SECRET["hook"] in got[0][0]
        assert any(
            base64.b64encode(f"\0ann\0{SECRET['mail']}".encode()).decode() in line for line in told
        )
        for words in (("status",), ("history",), ("receipt",), ("doctor",), ("notify", "--json")):
            do(*words, code=0, **ways)
        endpoint.refuses = True
        again = ("run", "--set", f"teacher={teacher[:-1]}, version: b}}")
        do(*again, code=2, **ways)
    with web(500) as (port, _), mail(refuses=True) as (smtp, _):
        ways = {
            "STILLHOUSE_NOTIFY_WEBHOOK": f"http://127.0.0.1:{port}/hooks/{SECRET['hook']}",
            "STILLHOUSE_NOTIFY_EMAIL": f"smtp://ann:{SECRET['mail']}@127.0.0.1:{smtp}/?to=o@x.org",
        }
        wrong = with_password(f"{database.address('nothing')}", "warehouse")
        do("run", code=1, WAREHOUSE=wrong, **ways)
        do("run", "--set", f"teacher.api_key={SECRET['setting']}", code=2, **ways)
        do("notify", "--test", code=1, **ways)
        gone = "http://127.0.0.1:9"
        do("run", code=1, MLFLOW_TRACKING_URI=with_password(gone, "mlflow"), **ways)
        do("run", code=1, PREFECT_API_URL=with_password(f"{gone}/api", "prefect"), **ways)
        torn = "step.distill.before_record=raise"
        do("run", "--set", "distill.epochs=61", code=1, STILLHOUSE_FAILPOINTS=torn, **ways)
        do("run", "--set", "distill.epochs=61", code=-9, STILLHOUSE_FAILPOINTS=torn[:-5] + "kill")
    time.sleep(1)  # Prefect's and MLflow's last words
    titles.over.set()
    watcher.join()
    sinks = {
        **files(house.root, INPUTS),
        **files(house.home),
        **files(mlflow.folder),
        **files(prefect.folder),
        "MLflow's database": dumped(database, "mlflow"),
        "Prefect's database": dumped(database, "prefect"),
        "Optuna's database": dumped(database, "secret_studies"),
        "the terminal": "\n".join(said).encode(),
        "command lines": b"\n".join(titles.seen),
    }
    # Positive control: the same search finds a word that is no secret, in each kind of sink.
    found = holding((MODEL.encode(),), sinks)
    assert {"MLflow's database", "Prefect's database", "the terminal"} <= set(found)
    assert any("receipt.json" in name for name in found)
    assert any("outbox" in name for name in found)
    assert any(b"stillhouse" in title for title in titles.seen)
    left = {place: holding(forms(secret), sinks) for place, secret in SECRET.items()}
    assert {place: names for place, names in left.items() if names} == {}
    assert odd == [], "a command did not end as it should: its words may not be those meant"
