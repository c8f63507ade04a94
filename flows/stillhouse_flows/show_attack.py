"""How `stillhouse attack` tells what it found."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from stillhouse_flows.show import _out, note, plain

if TYPE_CHECKING:
    from stillhouse_flows.attack import Attacked

Told = Callable[[int, int, str], None]


def first_number(progress: Told) -> Told:
    """Return a function that tells the first number in a sentence, and every one on the bar."""
    said: list[int] = []

    def told(done: int, total: int, sofar: str) -> None:
        if not said and done < total:
            note(f"first {done} of {total} rows: {sofar}")
        said.append(done)
        progress(done, total, sofar)

    return told


def attacked(found: "Attacked") -> None:
    """Show what the model withstands."""
    told, console = found.as_dict(), _out()
    how = "gradients of its graph" if told["gradients"] else f"a black box: {told['black_box']}"
    some = f"{told['rows']:,} of {told['of']:,} rows"
    lines = [
        f"model     {told['model']}, {how}",
        f"attack    {told['attack']}, {told['norm']} {told['epsilon']:g}, {some}",
        f"clean     {_share(told['clean'])}",
        f"robust    {_share(told['robust'])}: a stronger attack may find more",
    ]
    if told["distance"] is not None:
        lines.append(f"fooled    {told['fooled']:,} rows, moved by {told['distance']:.3g} (median)")
    lines.append(f"cost      {told['queries']:,} answers in {told['seconds']:.1f} s")
    lines += told["notes"]
    if not told["complete"]:
        lines.append("Stopped before the end: the last rows were attacked less, or not at all.")
    for line in lines:
        console.print(Text(plain(line)), soft_wrap=True)


def _share(interval: Sequence[float]) -> str:
    low, share, high = (100 * value for value in interval)
    return f"{share:.1f} %  [{low:.1f}, {high:.1f}]"
