"""How the letters of a text file are encoded: UTF-8, UTF-16, CP932 (Shift JIS), EUC-JP, GB18030 or CP1252.

The order of the decision, each step strict over the whole file: a byte order mark; zero bytes at every second place
(UTF-16); UTF-8; then those of CP932, EUC-JP, GB18030 and CP1252 that decode every byte, the one whose letters are those
that people write. A file that is UTF-8 but for a few lines is UTF-8, and those lines cannot be read. Where two are as
likely, nothing is guessed: the file is refused until its encoding is named.
"""

import codecs
import gzip
import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from osoroi import files
from osoroi.errors import BadDataset

BLOCK = 1 << 20
SAMPLE = 1 << 18
"""Bytes of lines beyond ASCII whose letters decide between encodings."""

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order mark -> codec, the longer ones first."""

LEGACY = ("cp932", "euc_jp", "gb18030", "cp1252")
NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte order mark",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 without a byte order mark",
    "utf-16-be": "UTF-16 without a byte order mark",
    "utf-32": "UTF-32",
    "cp932": "CP932 (Shift JIS)",
    "euc_jp": "EUC-JP",
    "gb18030": "GB18030",
    "cp1252": "CP1252 (Western European Windows)",
}
MARGIN = 0.15
"""By how much the likeliest encoding must be ahead of the next."""

HINT = "name it: table:FILE?encoding=cp932 (or euc_jp, gb18030, cp1252, cp1250, cp1251, …)"


class Encoding(NamedTuple):
    """A codec of Python, and how it was decided."""

    codec: str
    reason: str


def opened(path: Path) -> io.BufferedReader | gzip.GzipFile:
    """The bytes of a file, uncompressed where its name ends in ``.gz``."""
    if path.suffix.lower() == ".gz":
        files.require_ordinary(path)
        return gzip.open(path, "rb")
    return files.open_foreign(path)


def blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in blocks."""
    with opened(path) as file:
        while block := file.read(BLOCK):
            yield block


def detect(path: Path) -> Encoding:
    """The encoding of a text file. Raises BadDataset where none of those above fits, or two do as well."""
    with opened(path) as file:
        head = file.read(4096)
    for mark, codec in MARKS.items():
        if head.startswith(mark):
            return Encoding(codec, NAMES[codec])
    codec_of_zeros = without_mark(head)
    if codec_of_zeros:
        return Encoding(codec_of_zeros, NAMES[codec_of_zeros])
    if decodes(path, "utf-8"):
        return Encoding("utf-8", "UTF-8")
    sample = high_lines(path)
    if mostly_utf8(sample):
        return Encoding("utf-8", "UTF-8, but for some lines")
    scores = sorted(((plausibility(sample, codec), codec) for codec in LEGACY if decodes(path, codec)), reverse=True)
    if not scores or scores[0][0] < 0.5:
        first = first_line_beyond_utf8(path)
        raise BadDataset(
            f"{path} is neither UTF-8 (line {first} is not) nor, surely, any other encoding that is recognised",
            hint=HINT,
        )
    if len(scores) > 1 and scores[0][0] - scores[1][0] < MARGIN:
        either = " or ".join(NAMES[codec] for _, codec in scores[:2])
        raise BadDataset(f"the encoding of {path} may be {either}", hint=HINT)
    return Encoding(scores[0][1], NAMES[scores[0][1]])


def without_mark(head: bytes) -> str | None:
    """UTF-16 without a byte order mark: in a header of ASCII every second byte is zero.

    >>> without_mark("photo,title".encode("utf-16-be")), without_mark(b"photo,title")
    ('utf-16-be', None)
    """
    even, odd = head[: len(head) // 2 * 2 : 2], head[1::2]
    if len(even) >= 4 and odd.count(0) > len(odd) * 0.4 and even.count(0) == 0:
        return "utf-16-le"
    if len(even) >= 4 and even.count(0) > len(even) * 0.4 and odd.count(0) == 0:
        return "utf-16-be"
    return None


def decodes(path: Path, codec: str) -> bool:
    """Whether a codec reads every byte of a file."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    try:
        for block in blocks(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def first_line_beyond_utf8(path: Path) -> int:
    """The number of the first line of a file that is not UTF-8 throughout."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    before = 0
    for block in blocks(path):
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            pending = len(error.object) - len(block)  # bytes of a letter that began in the block before
            return before + block[: max(0, error.start - pending)].count(b"\n") + 1
        before += block.count(b"\n")
    return before + 1


def high_lines(path: Path) -> list[bytes]:
    """Lines with bytes beyond ASCII, up to ``SAMPLE`` bytes of them."""
    lines, size = [], 0
    with opened(path) as file:
        while size < SAMPLE and (line := file.readline(BLOCK)):
            if not line.isascii():
                lines.append(line)
                size += len(line)
    return lines


def mostly_utf8(lines: list[bytes]) -> bool:
    """Whether nine in ten lines are UTF-8: chance does not make letters of several bytes."""
    right = sum(_is_utf8(line) for line in lines)
    return right > 0 and right >= 0.9 * len(lines)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def plausibility(lines: list[bytes], codec: str) -> float:
    """How much of a text's letters beyond ASCII people write in the language of that encoding, in [0, 1].

    >>> japanese = ["赤いワンピース".encode("cp932")]
    >>> plausibility(japanese, "cp932") > 0.9, plausibility(japanese, "cp1252") < 0.5
    (True, True)
    """
    text = b"".join(lines).decode(codec, "replace")
    letters = [letter for letter in text if not letter.isascii()]
    if not letters:
        return 0.0
    if codec == "cp1252":
        return _western(text, letters)
    kana = sum("\u3041" <= letter <= "\u30fe" for letter in letters) / len(letters)
    common = sum(_is_common(letter, codec) for letter in letters) / len(letters)
    if codec == "gb18030":  # kana are written by the same bytes in EUC-JP
        return common - kana
    return common + 0.2 * min(kana, 0.5) - 0.1


def _is_common(letter: str, codec: str) -> bool:
    """Whether a letter is a kana, a full-width sign, or among the commoner ideographs of a national standard."""
    if "\u3000" <= letter <= "\u30fe" or "\uff01" <= letter <= "\uff5e" or letter in "℃①②③④⑤×÷～￥":
        return True
    code = letter.encode("gb2312" if codec == "gb18030" else "euc_jp", "ignore")
    last = 0xD7 if codec == "gb18030" else 0xCF  # the end of the first level: the ideographs in common use
    return len(code) == 2 and (0xB0 <= code[0] <= last or 0xA1 <= code[0] <= 0xA3)


def _western(text: str, letters: list[str]) -> float:
    """Share of letters with accents and of usual signs; long rows of them are another alphabet."""
    usual = sum(unicodedata.category(letter) in ("Ll", "Lu") and letter not in "ƒˆ" for letter in letters)
    signs = sum(letter in "€£¥©®™°–—‘’“”„«»…•·ß¡¿½¼²³\xa0×´" for letter in letters)
    runs = sum(not one.isascii() and not two.isascii() and not three.isascii() for one, two, three in _triples(text))
    return (usual + 0.8 * signs) / len(letters) - 2.0 * runs / len(letters)


def _triples(text: str) -> Iterator[tuple[str, str, str]]:
    return zip(text, text[1:], text[2:], strict=False)
