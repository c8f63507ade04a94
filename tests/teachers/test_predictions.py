import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stillhouse.data.dataset import Dataset
from stillhouse.errors import SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.predictions import Predictions
from stillhouse.teachers.teacher import Lesson

ROWS = np.arange(300)
CHANCE = np.random.default_rng(0).dirichlet(np.ones(10), 300)
NAMES = tuple(str(k) for k in range(10))


def answers(lesson: Lesson, name: str, **settings: Any) -> torch.Tensor:
    teacher = Predictions(path=name, **settings)
    return ask(teacher.recall(teacher.learn(lesson), lesson.train.schema), lesson.val).softmax(
        dim=1
    )


def write_npz(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "p.npz", **{"rows": ROWS, "probabilities": CHANCE, **arrays})
    return "p.npz"


def write_csv(
    folder: Path, names: tuple[str, ...] = NAMES, rows: Any = ROWS, chance: Any = CHANCE
) -> str:
    lines = [",".join(("rows", *names))] + [
        ",".join([str(r), *(str(float(v)) for v in values)])
        for r, values in zip(rows, chance, strict=True)
    ]
    (folder / "p.csv").write_text("\n".join(lines) + "\n")
    return "p.csv"


def test_the_three_forms_give_each_row_its_own_probabilities(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    given = lesson()
    wanted = torch.from_numpy(CHANCE[200:300]).float()
    save_file(
        {"rows": torch.from_numpy(ROWS), "probabilities": torch.from_numpy(CHANCE)},
        tmp_path / "p.safetensors",
    )
    for name in (write_npz(tmp_path), write_csv(tmp_path), "p.safetensors"):
        torch.testing.assert_close(answers(given, name), wanted, rtol=1e-5, atol=1e-6)


def test_the_order_of_rows_and_of_classes_in_the_file_does_not_matter(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    given = lesson()
    rows, columns = (
        np.random.default_rng(1).permutation(300),
        np.random.default_rng(2).permutation(10),
    )
    mixed, names = CHANCE[rows][:, columns], tuple(NAMES[k] for k in columns)
    wanted = answers(given, write_npz(tmp_path))
    torch.testing.assert_close(
        answers(
            given,
            write_npz(tmp_path, rows=ROWS[rows], probabilities=mixed, classes=np.array(names)),
        ),
        wanted,
    )
    torch.testing.assert_close(
        answers(given, write_npz(tmp_path, rows=ROWS[rows], probabilities=mixed), classes=names),
        wanted,
    )
    torch.testing.assert_close(
        answers(given, write_csv(tmp_path, names, ROWS[rows], mixed)), wanted, rtol=1e-5, atol=1e-6
    )


def test_a_row_that_the_file_does_not_hold_is_named(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    keep = (ROWS != 250) & (ROWS != 251)
    with pytest.raises(SourceError, match="no answer for 2 rows: 250, 251"):
        answers(lesson(), write_npz(tmp_path, rows=ROWS[keep], probabilities=CHANCE[keep]))


def test_rows_beyond_the_last_are_not_mistaken_for_it(
    lesson: Callable[[], Lesson], tmp_path: Path, digits: Dataset
) -> None:
    given = lesson()
    teacher = Predictions(path=write_npz(tmp_path))
    oracle = teacher.recall(teacher.learn(given), given.train.schema)
    assert oracle.answers(torch.tensor([0, 299, 300, 5000])).tolist() == [True, True, False, False]
    assert (oracle.parameters, oracle.module, oracle.gives) == (0, None, {"logits"})


def spoilt(at: int, column: int, value: float) -> Any:
    chance = CHANCE.copy()
    chance[at, column] = value
    return chance


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"probabilities": spoilt(7, 0, float("nan"))}, "row 7 is not a finite number"),
        ({"probabilities": spoilt(8, 1, -0.5)}, r"row 8 is not in \[0, 1\]"),
        ({"probabilities": spoilt(9, 2, 0.99)}, "row 9 does not sum to 1"),
        (
            {"probabilities": CHANCE[:, :7] / CHANCE[:, :7].sum(axis=1, keepdims=True)},
            "knows 7 classes, the data have 10",
        ),
        ({"rows": np.zeros(300, dtype=int)}, "row 0 is there twice"),
        ({"rows": ROWS[:5]}, r"\[5, C\]"),
        ({"rows": ROWS.astype(float)}, "whole numbers"),
        ({"classes": np.array([*NAMES[:9], "nine"])}, "no class 'nine'"),
    ],
)
def test_what_is_no_list_of_probabilities_is_refused_by_row_or_name(
    lesson: Callable[[], Lesson], tmp_path: Path, arrays: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        answers(lesson(), write_npz(tmp_path, **arrays))
    assert caught.value.where == "p.npz"
    assert caught.value.exit_code == 2
    answers(lesson(), write_npz(tmp_path))


@pytest.mark.parametrize("name", ["p.npz", "p.csv", "p.safetensors"])
def test_a_pickle_is_refused_whatever_it_is_called(
    lesson: Callable[[], Lesson], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"rows": [1]}))
    with pytest.raises(SourceError, match="pickle"):
        answers(lesson(), name)


def test_a_missing_file_and_a_cell_that_is_no_number_are_named(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"no file 'none\.npz'"):
        answers(lesson(), "none.npz")
    (tmp_path / "p.csv").write_text("rows,0,1\n0,0.5,0.5\n1,half,0.5\n")
    with pytest.raises(SourceError, match="line 3, column '0': 'half' is no number"):
        answers(lesson(), "p.csv")
    (tmp_path / "p.csv").write_text("rows,0,1\n-3,0.5,0.5\n")
    with pytest.raises(SourceError, match="'-3' is no row's number"):
        answers(lesson(), "p.csv")


def test_names_in_the_file_and_in_the_settings_must_agree(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    name = write_npz(tmp_path, classes=np.array(NAMES))
    with pytest.raises(SourceError, match="otherwise"):
        answers(lesson(), name, classes=NAMES[::-1])
    answers(lesson(), name, classes=NAMES)
