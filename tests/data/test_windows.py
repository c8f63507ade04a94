import pytest

from stillhouse.data.windows import name_of, recordings, windows


def test_recordings_may_take_turns() -> None:
    assert recordings(["b", "a", "b", "a"]) == {"b": [0, 2], "a": [1, 3]}


@pytest.mark.parametrize(
    ("length", "stride", "places", "short"),
    [
        (2, 2, [[0, 2], [4, 6], [1, 3]], 0),
        (2, 1, [[0, 2], [2, 4], [4, 6], [1, 3]], 0),
        (3, 3, [[0, 2, 4]], 1),
        (2, 9, [[0, 2], [1, 3]], 0),
        (9, 1, [], 2),
    ],
)
def test_windows_begin_at_a_recording_s_first_row_and_never_cross_into_another(
    length: int, stride: int, places: list[list[int]], short: int
) -> None:
    found = windows({"b": [0, 2, 4, 6], "a": [1, 3]}, length=length, stride=stride)
    assert (found.places.tolist(), found.short) == (places, short)


def test_a_window_is_called_what_most_of_its_rows_say() -> None:
    assert name_of(["a", "b", "b"], "most") == "b"
    assert name_of(["a", None, None], "most") == "a"
    assert name_of(["a", "b"], "most") == "b"
    assert name_of(["b", "a"], "most") == "a"
    assert name_of([None, None], "most") is None
    assert name_of(["b", "b", "a"], "last") == "a"
