"""A teacher behind an HTTP endpoint: asked slowly, paid once, believed only after a look."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Interval
from pydantic import SecretStr
from torch import Tensor

from stillhouse import environment
from stillhouse.clock import SYSTEM, Clock
from stillhouse.config import Count, NonNegative, Positive
from stillhouse.data.schema import Schema
from stillhouse.errors import ServerUnreachable, SettingsError, SourceError
from stillhouse.evaluation.tasks import task_of
from stillhouse.teachers import speech
from stillhouse.teachers.address import Address, networks, parse, settle
from stillhouse.teachers.ask import naming
from stillhouse.teachers.classes import order
from stillhouse.teachers.probabilities import form_asked, outputs_of
from stillhouse.teachers.purse import Purse
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.teachers.wire import Lost, Reply, TooLarge, Untrusted, post
from stillhouse.workspace import dump_json, sha256_bytes

FORM = "form.json"
WHERE = "teacher.url"
LONGEST_WAIT = 60.0  # s; a server that wants to be left alone for longer is asked another day
FIRST_WAIT = 0.5  # s, doubled with every try
BYTES_A_ROW, BYTES_BESIDE = 65_536, 65_536  # 2,000 classes of 32 characters each
MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
UNPAID = frozenset({408, 425, 429, 503})  # refused before the rows were looked at
# Of a probability, or of a quantity's spread: a server may round otherwise from one machine to the
# next.
CHANGED = 0.02


class Endpoint(Teacher):
    """Asks an HTTP endpoint for probabilities, or a quantity's values, and keeps every answer under
    `.stillhouse/answers/`, so that a killed run, another trial and the next retraining pay for no
    row twice.

    It is sent `{"rows": [7, 9], "inputs": [[…], […]]}` and must answer `{"rows": [7, 9],
    "probabilities": [[…], […]]}`, with `"classes": [names by column]` where their order is not the
    data's; of a quantity `{"rows": [7, 9], "values": [3.5, 4.25]}`. A table's row is an object by
    column name; an image or a series is nested lists.

    Args:
        url: `https://host/path`; http is for this machine alone, unless `plain`.
        variable: Name of an environment variable whose value is sent as a bearer token.
        classes: Class names by column, for answers that do not name them; empty: the data's order.
        batch: Rows a request.
        rate: Requests a second at most.
        tries: How often a request is sent before the run stops; 429, 5xx and lost answers are tried
            again, after the time that the server asks for.
        seconds: For one answer, from the first packet to the last.
        usd_per_row: The price of a row; a request whose answer was lost counts as paid.
        cap_usd: The most that may ever be spent on this endpoint; needed where there is a price.
        allow: Private addresses or ranges that are meant: `['127.0.0.1', '10.0.0.0/8']`.
        plain: Whether http may leave this machine.
        version: Any text; another one begins anew, as after a change of the model behind the URL.
    """

    def __init__(
        self,
        *,
        url: str,
        variable: str = "",
        classes: tuple[str, ...] = (),
        batch: Annotated[int, Interval(ge=1, le=1024)] = 64,
        rate: Positive = 10.0,
        tries: Count = 5,
        seconds: Positive = 30.0,
        usd_per_row: NonNegative = 0.0,
        cap_usd: NonNegative | None = None,
        allow: tuple[str, ...] = (),
        plain: bool = False,
        version: str = "",
    ) -> None:
        parse(url, WHERE)
        if usd_per_row and cap_usd is None:
            raise SettingsError(
                f"a row costs ${usd_per_row:g}, and nothing says how much may be spent.",
                where="teacher.cap_usd",
                fix="Set it, in USD.",
            )
        self.url, self.variable, self.classes, self.plain, self.version = (
            url,
            variable,
            classes,
            plain,
            version,
        )
        self.shown = url.partition("?")[0]  # a query may hold a key
        self.batch, self.rate, self.tries, self.seconds = batch, rate, tries, seconds
        self.usd_per_row, self.cap_usd = usd_per_row, cap_usd
        self.allow = networks(allow, "teacher.allow")

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        order(self.classes, lesson.train.schema, where="teacher.classes")
        return {FORM: dump_json({"url": self.url, "version": self.version})}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> "Asked":
        if json.loads(files[FORM]) != {"url": self.url, "version": self.version}:
            raise SettingsError(
                "the stored teacher is another endpoint.",
                where=WHERE,
                fix="Run the step `teacher` again.",
            )
        return Asked(self, schema)

    def token(self) -> SecretStr | None:
        """Return what is sent as a bearer token.

        Raises:
            SettingsError: The variable is not set.
        """
        if not self.variable:
            return None
        found = environment.secret(self.variable)
        if found is None:
            raise SettingsError(
                f"the environment variable '{self.variable}' is not set.",
                where="teacher.variable",
                fix="Set it, or put it into .env.",
            )
        return found


class Asked(Oracle):
    """An endpoint that answers; a black box that may cost money."""

    def __init__(self, settings: Endpoint, schema: Schema, clock: Clock = SYSTEM) -> None:
        self._settings, self._schema, self._clock = settings, schema, clock
        self._purse = Purse(settings.usd_per_row, settings.cap_usd)
        self._address: Address | None = None
        self._next = 0.0  # by the clock: no request before
        self.usd_per_row = settings.usd_per_row

    def keep_in(self, folder: Path) -> None:
        quantity = self._schema.quantity
        told = self._schema.outputs if quantity is None else (quantity.name, *quantity.outputs)
        said = [self._settings.url, self._settings.version, list(told)]
        self._purse.open(folder / sha256_bytes(dump_json(said))[:16])

    def unpaid(self, inputs: Tensor) -> int:
        return len({key for key in _keys(inputs) if key not in self._purse})

    def require_money(self, rows: int) -> None:
        self._purse.require(rows)

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        keys = _keys(inputs)
        for part in self._parts(keys, rows.tolist()):
            self._keep(part, keys, self._ask(inputs[part], rows[part]))
        if not keys:
            return torch.empty(0, len(self._schema.outputs))
        return self._outputs(torch.stack([self._purse[key] for key in keys]))

    def require_same(self, inputs: Tensor, rows: Tensor) -> None:
        keys = _keys(inputs)
        known = [at for at, key in enumerate(keys) if key in self._purse]
        if not known:
            return
        now = self._ask(inputs[known], rows[known])
        kept = torch.stack([self._purse[keys[at]] for at in known])
        moved = task_of(self._schema).moved(self._outputs(now), self._outputs(kept))
        far = moved > CHANGED
        if far.any():
            raise SourceError(
                f"it now answers {naming(rows[known][far])} otherwise than when its answers were "
                "bought.",
                where=self._settings.shown,
                fix="If the model behind it changed, set another teacher.version: all rows are "
                "asked anew.",
            )

    def _outputs(self, said: Tensor) -> Tensor:
        return outputs_of(said, form_asked(self._schema)).float()

    def _parts(self, keys: list[bytes], rows: list[int]) -> list[list[int]]:
        """Return positions to ask about, a request each; no request holds a row or a number
        twice.
        """
        parts: list[list[int]] = []
        seen: set[bytes] = set()
        for at, key in enumerate(keys):
            if key in self._purse or key in seen:
                continue
            seen.add(key)
            full = not parts or len(parts[-1]) == self._settings.batch
            if full or rows[at] in {rows[other] for other in parts[-1]}:
                parts.append([])
            parts[-1].append(at)
        return parts

    def _keep(self, part: list[int], keys: list[bytes], found: Tensor) -> None:
        self._purse.keep([keys[at] for at in part], found)

    def _ask(self, inputs: Tensor, rows: Tensor) -> Tensor:
        body = speech.question(inputs, rows, self._schema)
        data = self._answer(body, len(rows))
        return speech.answers(
            data, rows, self._schema, classes=self._settings.classes, where=self._settings.shown
        )

    def _answer(self, body: bytes, rows: int) -> bytes:
        """Return the body of an answer 200; whatever may pass is tried again."""
        why = ""
        for number in range(self._settings.tries):
            wait = FIRST_WAIT * 2**number
            try:
                reply = self._post(body, rows)
            except Lost as error:
                why = str(error)
            else:
                if reply.status == 200:
                    return reply.data
                why = self._judge(reply)
                wait = self._patience(reply, why) or wait
            if number + 1 < self._settings.tries:
                self._clock.sleep(min(wait, LONGEST_WAIT))
        raise ServerUnreachable(
            f"the endpoint gave no answer in {self._settings.tries} tries: {why}.",
            where=self._settings.shown,
            fix=f"{len(self._purse)} answers are kept; the same command goes on from there.",
        )

    def _patience(self, reply: Reply, why: str) -> float | None:
        """Return for how long the server asks to be left alone, where that can be waited for."""
        if reply.wait is not None and reply.wait > LONGEST_WAIT:
            raise ServerUnreachable(
                f"the endpoint asks to be left alone for {reply.wait:,.0f} s: {why}.",
                where=self._settings.shown,
                fix=f"{len(self._purse)} answers are kept; the same command goes on from there, "
                "later.",
            )
        return reply.wait

    def _post(self, body: bytes, rows: int) -> Reply:
        settings = self._settings
        address, token = self._place(), settings.token()
        self._purse.spend(rows)
        self._clock.sleep(max(0.0, self._next - self._clock.seconds()))
        self._next = self._clock.seconds() + 1 / settings.rate
        most = BYTES_BESIDE + rows * BYTES_A_ROW
        try:
            reply = post(address, body, seconds=settings.seconds, most=most, token=token)
        except Untrusted as error:
            self._purse.refund(rows)
            raise SourceError(
                f"its certificate is not trusted: {error}.",
                where=settings.shown,
                fix="Let a known authority sign it; nothing was sent.",
            ) from None
        except TooLarge:
            raise SourceError(
                f"it answers more than {most:,} bytes to {rows} rows.",
                where=settings.shown,
                fix="It must answer numbers alone: probabilities, or a quantity's values.",
            ) from None
        if reply.status in UNPAID:
            self._purse.refund(rows)
        return reply if token is None else _without(token, reply)

    def _judge(self, reply: Reply) -> str:
        """Return why an answer is none, where another try may help.

        Raises:
            SourceError: None will.
        """
        if reply.status in MAY_PASS:
            return f"HTTP {reply.status}"
        if 300 <= reply.status < 400:
            raise SourceError(
                f"it answers HTTP {reply.status} and sends us on to '{reply.place}', which is not "
                "followed.",
                where=self._settings.shown,
                fix="Name the place itself.",
            )
        shown = reply.data[:100].decode("utf-8", "replace")
        raise SourceError(
            f"it answers HTTP {reply.status}: {shown!r}.",
            where=self._settings.shown,
            fix="Look at the URL and at the token (teacher.variable).",
        )

    def _place(self) -> Address:
        if self._address is None:
            settings = self._settings
            self._address = settle(settings.url, settings.allow, plain=settings.plain, where=WHERE)
        return self._address


def _without(token: SecretStr, reply: Reply) -> Reply:
    """Return an answer without our token: whatever we quote of it, a server may have told us what
    we sent it.
    """
    secret = token.get_secret_value()
    data = reply.data.replace(secret.encode(), b"***")
    return replace(reply, data=data, place=reply.place.replace(secret, "***"))


def _keys(inputs: Tensor) -> list[bytes]:
    """Return a digest a row of what the endpoint is sent; the row's number is no part of it."""
    flat = inputs.reshape(len(inputs), -1).contiguous().numpy()
    return [hashlib.sha256(row.tobytes()).digest() for row in flat]
