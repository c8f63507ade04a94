"""What can be named in params.yaml."""

from pathlib import Path
from typing import Any

from stillhouse import config, plugins
from stillhouse.pipeline import settings


def plugins_of(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every plugin by point: name, origin, the kinds of rows it accepts, what it needs of a
    model, and its settings.

    Raises:
        SettingsError: params.yaml names a plugin file that does not import.
    """
    if (root / "params.yaml").is_file():
        plugins.use(
            config.adapt(list[str], settings.read(root).get("plugins") or [], where="plugins"), root
        )
    return {
        point: [_describe(point, name) for name in sorted(plugins.available(point))]
        for point in plugins.POINTS
    }


def _describe(point: str, name: str) -> dict[str, Any]:
    made: Any = plugins.load(point, name)
    accepts = getattr(made, "accepts", getattr(made, "kinds", ()))
    return {
        "name": name,
        "origin": plugins.find(point, name).origin,
        "accepts": sorted(accepts) if isinstance(accepts, frozenset | set | tuple | list) else [],
        "needs": sorted(getattr(made, "needs", ())),
        "settings": sorted(config.parameters(made)),
    }
