"""A suite that Great Expectations wrote, as JSON: read as plain values, nothing of it is run before
each expectation is known.
"""

import json
from collections.abc import Mapping
from typing import Any

from stillhouse.errors import SettingsError
from stillhouse.validation.settings import check_severity, check_type

MAX_BYTES = 10 * 2**20


def entries(text: bytes, where: str) -> list[dict[str, Any]]:
    """Return a suite's expectations as `validate.expectations` has them: `{type, column, …,
    severity}`.

    Args:
        text: The file: `{"expectations": [{"type", "kwargs", "severity"}]}`; suites of before
            version 1 say `expectation_type`.
        where: The file, for messages.

    Raises:
        SettingsError: It is no suite, or has an expectation that there is not.
    """
    if len(text) > MAX_BYTES:
        raise SettingsError(
            f"the suite has more than {MAX_BYTES // 2**20} MiB.", where=where, fix="Split it."
        )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"the file is not JSON: {str(error)[:120]}.",
            where=where,
            fix="Save the suite with json.dumps(suite.to_json_dict()).",
        ) from None
    listed = found.get("expectations") if isinstance(found, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise SettingsError(
            "the file has no list of expectations.",
            where=where,
            fix="Save the suite with json.dumps(suite.to_json_dict()).",
        )
    return [_entry(one, f"{where}, expectation {at + 1}") for at, one in enumerate(listed)]


def _entry(one: Any, where: str) -> dict[str, Any]:
    if not isinstance(one, Mapping) or not isinstance(one.get("kwargs", {}), Mapping):
        raise SettingsError("it is no expectation.", where=where, fix="It needs a type and kwargs.")
    entry = {
        "type": one.get("type", one.get("expectation_type")),
        **{key: value for key, value in one.get("kwargs", {}).items() if key != "batch_id"},
    }
    meta = one.get("meta")
    severity = one.get("severity") or (meta.get("severity") if isinstance(meta, Mapping) else None)
    if severity is not None:
        entry["severity"] = severity
    check_type(entry, where)
    check_severity(entry, where)
    return entry
