"""Product feeds in XML: RSS 2.0 or Atom with the elements of Google Merchant, or any list of like elements.

Read as a stream, without entities: a document type is refused, so that nothing is expanded or fetched.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from osoroi.data.tabular.encoding import opened
from osoroi.data.tabular.line import BadLine, Line, OnError, cells_of, report
from osoroi.errors import BadDataset

ITEMS = ("item", "entry", "product", "offer")
"""Elements that are one product each."""

BLOCK = 1 << 16
LONGEST = 1 << 20
"""Letters of one element at most."""


class _Items:
    """Collects the elements of each item; an element that comes several times is a list."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ready: list[tuple[int, dict[str, list[str]]]] = []
        self.open: list[str] = []
        self.cells: dict[str, list[str]] | None = None
        self.depth = 0
        self.start_line = 0
        self.text: list[str] = []
        self.letters = 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.data
        self.parser.StartDoctypeDeclHandler = self.doctype

    def doctype(self, *_: object) -> NoReturn:
        raise BadDataset(f"{self.path} declares a document type", hint="a feed is XML without one")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        short = name.partition(":")[2] or name
        if self.cells is None and short in ITEMS and self.open:
            self.cells, self.depth, self.start_line = {}, len(self.open), self.parser.CurrentLineNumber
            if "id" in attributes:
                self.cells["id"] = [attributes["id"]]
        elif self.cells is not None and "href" in attributes and short == "link":
            self.cells.setdefault("link", []).append(attributes["href"])
        self.open.append(short)
        self.text, self.letters = [], 0

    def data(self, text: str) -> None:
        self.text.append(text)
        self.letters += len(text)
        if self.letters > LONGEST:
            raise BadDataset(f"{self.path}, line {self.parser.CurrentLineNumber}: an element is too long")

    def end(self, name: str) -> None:
        self.open.pop()
        if self.cells is None:
            return
        if len(self.open) == self.depth:
            self.ready.append((self.start_line, self.cells))
            self.cells = None
            return
        text = "".join(self.text).strip()
        self.text, self.letters = [], 0
        if text:
            column = ".".join([*self.open[self.depth + 1 :], name.partition(":")[2] or name])
            self.cells.setdefault(column, []).append(text)


def feed_lines(path: Path, *, on_error: OnError | None = None) -> Iterator[Line]:
    """One line for each item of a feed; its columns are the elements, without their prefix."""
    items, count = _Items(path), 0
    try:
        with opened(path) as file:
            while block := file.read(BLOCK):
                items.parser.Parse(block, False)
                for number, cells in items.ready:
                    count += 1
                    line = Line(path, f"line {number}", {})
                    try:
                        each = ((name, texts[0] if len(texts) == 1 else texts) for name, texts in cells.items())
                        line = cells_of(line, each)
                    except BadLine as error:
                        report(error, on_error)
                        continue
                    yield line
                items.ready.clear()
            items.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise BadDataset(f"{path} is no XML: {error}", hint="write the feed again") from error
    if not count:
        raise BadDataset(f"{path} holds no items", hint=f"products are the elements {', '.join(ITEMS)}")
