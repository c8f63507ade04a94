"""What a file's name says of its row: `{label}_{group}_{n}` reads `7_anna_3.wav`."""

import re
from dataclasses import dataclass

from stillhouse.errors import SettingsError, SourceError

FIELD = re.compile(r"\{([a-z]+)\}")
KNOWN = ("label", "group", "n")


@dataclass(frozen=True)
class Pattern:
    """A pattern over names without their suffix; each field stands for one character or more, and
    the earlier ones take as few as they can.

    Attributes:
        text: As in params.yaml.
        regex: Of whole names.
        fields: Those that it has: label, group, n (a number or word that nobody needs).
    """

    text: str
    regex: re.Pattern[str]
    fields: frozenset[str]

    @classmethod
    def of(cls, text: str, *, where: str) -> "Pattern":
        """Return the pattern that a setting writes.

        Raises:
            SettingsError: It has no field, an unknown one, one twice, or two side by side.
        """
        names, between = FIELD.findall(text), FIELD.split(text)[::2]
        fix = f"Write names such as {{label}}_{{group}}_{{n}}; fields: {', '.join(KNOWN)}."
        if (
            not names
            or any(name not in KNOWN for name in names)
            or len(set(names)) < len(names)
            or "{" in "".join(between)
        ):
            raise SettingsError(f"'{text}' is no pattern of a file's name.", where=where, fix=fix)
        if not all(between[1:-1]):
            raise SettingsError(
                f"'{text}' has two fields with nothing between them.", where=where, fix=fix
            )
        groups = [
            f"(?P<{name}>.+{'' if at == len(names) - 1 else '?'})" for at, name in enumerate(names)
        ]
        body = "".join(
            re.escape(literal) + group
            for literal, group in zip(between, [*groups, ""], strict=True)
        )
        return cls(text, re.compile(body, re.DOTALL), frozenset(names))

    def read(self, stem: str, *, where: str) -> dict[str, str]:
        """Return field → text of a file's name without its suffix.

        Raises:
            SourceError: The name is another one.
        """
        found = self.regex.fullmatch(stem)
        if found is None:
            raise SourceError(
                f"the name does not follow the pattern '{self.text}'.",
                where=where,
                fix="Rename the file, take it out, or mend the pattern.",
            )
        return found.groupdict()
