"""Every error that Stillhouse raises on purpose, in one tree.

What only one room raises is defined there, and drawn here.

StillhouseError               1  something failed
├── UsageError                2  what was asked cannot be meant
│   ├── SettingsError            params.yaml, --set, a plugin's settings
│   ├── PluginNotFound           no plugin of that name at that point
│   └── StaleLock                a step was started on code that was not locked
├── DataError                 2  what was given cannot be used
│   ├── SourceError              a file that is missing, broken, too large or of another kind
│   └── DataRefused              validation found data that a model should not learn from
├── Refused                   3  it works, and the answer is no
│   ├── TeacherBelowGate         the teacher misses its own gate
│   ├── StaleHead                the champion changed since it was looked at
│   └── OverBudget               the next step would cost more than was allowed
├── TrainingFailed            1  NaN loss; the rows are named
├── ExportFailed              1  edge: no words for the student, or its file answers otherwise
├── AttackFailed              1  attacks: an attack returned what it may not
├── CorruptionFailed          1  robustness: a corruption returned what it may not
├── Missing, Exists           1  tracking: MLflow has no such thing, or one already
├── Corrupt                   1  bytes differ from the hash that was recorded for them
├── Busy                      1  somebody else holds the workspace
├── Injected                  1  failpoints: a test asked for it
└── ServerUnreachable         1  MLflow or Prefect does not answer; may pass: tasks try again
"""

from typing import ClassVar


class StillhouseError(Exception):
    """An error that says what is wrong, where, and what to do.

    Args:
        what: One sentence: the fact, with the value that is wrong.
        where: File, field or row; empty where the sentence says it.
        fix: What the reader can do; an imperative sentence.
    """

    exit_code: ClassVar[int] = 1
    may_pass: ClassVar[bool] = False

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f" {self.fix}" if self.fix else "")


class UsageError(StillhouseError):
    """What was asked cannot be meant."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting has an unknown name, a wrong type or a value out of bounds."""


class PluginNotFound(UsageError):
    """No plugin has that name at that point."""


class StaleLock(UsageError):
    """A file that the step uses differs from what code.lock.json recorded."""


class DataError(StillhouseError):
    """What was given cannot be used."""

    exit_code = 2


class SourceError(DataError):
    """A file is missing, broken, too large or of another kind than its name says."""


class DataRefused(DataError):
    """Validation found data that a model should not learn from."""


class Refused(StillhouseError):
    """Everything works, and the answer is no."""

    exit_code = 3


class TeacherBelowGate(Refused):
    """The teacher misses its own gate; a student of it is not worth training."""


class StaleHead(Refused):
    """The champion changed since the caller looked at it."""


class OverBudget(Refused):
    """The next step would cost more than was allowed."""


class TrainingFailed(StillhouseError):
    """The loss is not a number; the message names the rows."""


class Corrupt(StillhouseError):
    """Bytes differ from the hash that was recorded for them."""


class Busy(StillhouseError):
    """Somebody else holds what this command needs."""


class ServerUnreachable(StillhouseError):
    """MLflow or Prefect does not answer. It may pass: a task tries again."""

    may_pass = True


# How libraries that know no MemoryError say it: torch, onnxruntime, C++, the loader, the kernel,
# oneDNN.
NO_MEMORY = (
    "allocate memory",
    "bad_alloc",
    "bad allocation",
    "can't start new thread",
    "failed to map segment",
    "could not create a primitive",
)


def short_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, whichever library found out."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError | OSError)
        and any(words in str(error) for words in NO_MEMORY)
    )


class Notice(UserWarning):
    """Something that its reader should know and that stops nothing; the command line shows it as a
    sentence.
    """


def nearest(name: str, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the known name closest to `name`, or the list of them."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'? Known: {', '.join(sorted(known))}."
    return f"Known: {', '.join(sorted(known))}."
