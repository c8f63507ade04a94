"""Equal YAML is parsed once; what one reader changes, no other sees."""

from pathlib import Path

import pytest
from dvc.fs import LocalFileSystem
from dvc.utils import serialize

from stillhouse.pipeline.parsing import Remembering, remember


def test_equal_text_is_parsed_once_and_given_to_each_reader_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, parsed = Remembering(), []
    ours = serialize.parse_yaml
    monkeypatch.setattr(
        serialize, "parse_yaml", lambda text, path: parsed.append(text) or ours(text, path)
    )
    path = tmp_path / "params.yaml"
    path.write_text("brew: {temperature: 1.5}\n")
    first = load(str(path), fs=LocalFileSystem())
    first["brew"]["temperature"] = 9
    assert load(str(path), fs=LocalFileSystem()) == {"brew": {"temperature": 1.5}}
    assert len(parsed) == 1
    path.write_text("brew: {temperature: 2}\n")
    assert load(str(path), fs=LocalFileSystem()) == {"brew": {"temperature": 2}}
    assert len(parsed) == 2


def test_broken_yaml_is_told_as_dvc_tells_it_each_time(tmp_path: Path) -> None:
    load, path = Remembering(), tmp_path / "params.yaml"
    path.write_text("brew: [1\n")
    for _ in range(2):
        with pytest.raises(serialize.YAMLFileCorruptedError):
            load(str(path), fs=LocalFileSystem())


@pytest.mark.parametrize("name", ["params.yaml", "code.lock.json"])
def test_what_every_stage_reads_goes_through_it(name: str) -> None:
    remember()
    assert isinstance(serialize.LOADERS[LocalFileSystem().suffix(name)], Remembering)
