"""From what somebody calls their teacher to the plugin that reads it: a URI says it, else the bytes
do.
"""

import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from stillhouse import config, plugins
from stillhouse.errors import SourceError, UsageError, nearest
from stillhouse_flows.intake.look import place_of

WHERE = "TEACHER"
KINDS = (
    "Name models:/name@alias, a file (.onnx, .pt2, .safetensors, answers in .npz or .csv), a "
    "folder of a Hugging Face model, http(s)://…, module:file:Name, or a teacher plugin."
)
HERE = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])[:/]")


def teacher_of(text: str, root: Path) -> dict[str, Any]:
    """Return the section `teacher` for what a user named.

    Args:
        text: `models:/credit@champion`, a URL, `module:my_models:load`, `timm:resnet18`, a path, a
            plugin's name, or its settings `{name: onnx, path: big.onnx, …}`.
        root: The folder that params.yaml comes to.

    Raises:
        UsageError: It is nothing of these.
        SourceError: The file is of a kind that is never read, such as a pickle.
    """
    if text.startswith("{"):
        return _settings(text)
    if text.startswith("models:/"):
        return {"name": "pyfunc", "uri": text}
    if text.startswith(("http://", "https://")):
        # typed by the user, not read from a file: this machine itself is meant
        allow = {"allow": ["127.0.0.1", "::1"]} if HERE.match(text) else {}
        return {"name": "endpoint", "url": text, **allow}
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "module":
        return {"name": "module", "module": rest}
    if colon and scheme in ("timm", "torchvision"):
        return {"name": scheme, "model": rest}
    path = Path(text)
    if path.exists():
        return _file(path, place_of(path, root))
    names = sorted(plugins.available("teachers"))
    if text in names:
        return {"name": text}
    raise UsageError(
        f"there is no teacher '{text}', neither a file nor a plugin.",
        where=WHERE,
        fix=f"{nearest(text, names)} {KINDS}" if "." not in text and "/" not in text else KINDS,
    )


def placed(spec: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Return a teacher's settings with the files that they name, and those of teachers inside it,
    as params.yaml calls them: a user's relative paths start where the user stands.
    """
    found = {
        key: [placed(each, root) for each in value]
        if key == "members"
        else placed(value, root)
        if key == "of"
        else value
        for key, value in spec.items()
    }
    name, rest = config.split_spec("teachers", found, where="teacher")
    for key, path in config.input_files(plugins.load("teachers", name), rest).items():
        if Path(path).exists():
            found[key] = place_of(Path(path), root)
    return found


def _settings(text: str) -> dict[str, Any]:
    try:
        held = yaml.safe_load(text)
    except yaml.YAMLError:
        held = None
    if not isinstance(held, Mapping) or not isinstance(held.get("name"), str):
        raise UsageError(
            f"'{text}' is no mapping with a name.",
            where=WHERE,
            fix="Write '{name: onnx, path: …}'.",
        )
    return dict(held)


def _file(path: Path, place: str) -> dict[str, Any]:
    if path.is_dir():
        return _folder(path, place)
    with path.open("rb") as file:
        magic = file.read(16)
    if magic[:4] == b"PK\x03\x04":
        return _archive(path, place)
    if magic[:1] == b"\x80":
        raise _pickle(path)
    if magic[8:9] == b"{":
        return _tensors(path, place)
    if path.suffix == ".onnx" or magic[:1] == b"\x08":
        return {"name": "onnx", "path": place}
    if path.suffix.lower() in (".csv", ".tsv"):
        return {"name": "predictions", "path": place}
    raise SourceError(f"the file '{path.name}' is no teacher.", where=WHERE, fix=KINDS)


def _folder(path: Path, place: str) -> dict[str, Any]:
    if (path / "config.json").is_file():
        return {"name": "huggingface", "path": place}
    if (path / "MLmodel").is_file():
        raise UsageError(
            f"'{path.name}' is a model of MLflow's in a folder.",
            where=WHERE,
            fix="Register it and name models:/name/1, or name the model's file in it.",
        )
    raise SourceError(
        f"the folder '{path.name}' holds no config.json of a Hugging Face model.",
        where=WHERE,
        fix=KINDS,
    )


def _archive(path: Path, place: str) -> dict[str, Any]:
    """A zip is an exported program, answers of numpy's, or what torch.save wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        raise SourceError("the archive is broken.", where=str(path), fix="Save it again.") from None
    arrays = {name.removesuffix(".npy") for name in names if name.endswith(".npy")}
    if _answers(arrays):
        return {"name": "predictions", "path": place}
    if arrays:
        raise SourceError(
            f"the archive '{path.name}' holds {', '.join(sorted(arrays))}, and no answers.",
            where=WHERE,
            fix="Save them with np.savez(file, rows=…, probabilities=…), of a quantity values=….",
        )
    if any(name.endswith("archive_format") for name in names):
        return {"name": "exported", "path": place}
    if any(name.endswith("data.pkl") for name in names):
        raise _pickle(path)
    raise SourceError(f"the archive '{path.name}' is no teacher.", where=WHERE, fix=KINDS)


def _tensors(path: Path, place: str) -> dict[str, Any]:
    from stillhouse.workspace import load_tensors

    if _answers(load_tensors(path).keys()):
        return {"name": "predictions", "path": place}
    return {"name": "checkpoint", "path": place}


def _answers(names: Collection[str]) -> bool:
    return "rows" in names and ("probabilities" in names or "values" in names)


def _pickle(path: Path) -> SourceError:
    return SourceError(
        f"'{path.name}' is a pickle, and nothing is ever unpickled.",
        where=WHERE,
        fix="Save it with torch.export.save (.pt2), as ONNX, or its weights as safetensors.",
    )
