"""The lists of DeepFashion: a count, mostly a line of names, then one entry a line, words apart by spaces."""

from collections.abc import Iterator
from pathlib import Path

from osoroi.data.tabular import Line, texts
from osoroi.errors import BadDataset
from osoroi.records import Box

SIDES = ("x_1", "y_1", "x_2", "y_2")


def expected(folder: Path, *places: str, reader: str) -> Path:
    """The first of these places that is a file; the first is where it is expected."""
    found = next((folder / place for place in places if (folder / place).is_file()), None)
    if found is None:
        hint = f"docs/datasets/{reader}.md shows the folder that {reader}: wants"
        raise BadDataset(f"{folder} lacks {places[0]}, expected at {folder / places[0]}", hint=hint)
    return found


def entries(path: Path, columns: tuple[str, ...], *, names: bool = True) -> Iterator[Line]:
    """Every entry under the names of ``columns``.

    The first line counts the entries, the second names the columns where ``names``. Fewer entries than counted mean
    that the file was cut off, and are refused at the end.
    """
    counted, held = 0, 0
    for number, text in texts(path):
        line = Line(path, f"line {number}", {})
        words = text.split()
        if number == 1:
            if len(words) != 1 or not words[0].isdecimal():
                line.refuse(f"{text.strip()!r:.60} is no count", hint="the first line counts the entries")
            counted = int(words[0])
        elif words and not (names and number == 2):
            if len(words) != len(columns):
                line.refuse(f"{len(words)} words instead of {' '.join(columns)}", hint="is this another list?")
            held += 1
            yield line._replace(cells=dict(zip(columns, words, strict=True)))
    if held < counted:
        hint = "the file was cut off: get it again"
        raise BadDataset(f"{path} counts {counted} entries in its first line and holds {held}", hint=hint)


def boxes(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Line, Box]]:
    """Every entry of a list of boxes; corners are (left, top, right, bottom) already."""
    for line in entries(path, (*columns, *SIDES)):
        box = line.box(SIDES)
        assert box is not None, "an entry has all its words"
        yield line, box


def photos_of(folder: Path) -> Path:
    """Where paths that begin with ``img/`` start: the folder itself, or its ``Img``."""
    return folder / "Img" if (folder / "Img" / "img").is_dir() else folder
