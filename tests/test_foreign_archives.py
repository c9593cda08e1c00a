"""Archives of NumPy and workbooks that somebody else wrote: read, or refused by an error of ours."""

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from osoroi import files, precomputed
from osoroi.data.tabular.workbook import excel_lines
from osoroi.encoder import text_tower
from osoroi.errors import OsoroiError
from osoroi.pretrained import check


def npy(header: str, data: bytes = b"") -> bytes:
    """A file of one array with a header of any text."""
    text = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


ARRAYS = {
    "an open string": npy("{'descr': '<f8"),
    "an open bracket": npy("{'descr': '<f8', 'shape': (3,\n"),
    "no array at all": b"photo",
    "Python objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", b"\x80\x04N."),
    "more than there is": npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2**60,)}\n".replace("2**60", str(2**60))
    ),
    "a shape of text": npy("{'descr': '<f8', 'fortran_order': False, 'shape': ('a',)}\n"),
    "no characters": npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}\n", b"\xff\xff\xff\x7f"),
    "nothing": b"",
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("read", [precomputed.read, check.from_npz])
def test_an_array_that_is_none_is_an_error_of_ours(
    tmp_path: Path, read: Callable[[Path], object], array: bytes
) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, ids=np.array(["a"]), photos=np.array(["a"]), fingerprint=np.array("f"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("vectors.npy", array)
    with pytest.raises(OsoroiError, match=r"v\.npz"):
        read(path)


def of_an_unknown_method(content: bytes) -> bytes:
    """An archive whose members say that they are compressed by a method that does not exist."""
    data, at = bytearray(content), 0
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        while (at := data.find(mark, at)) >= 0:
            data[at + offset : at + offset + 2] = struct.pack("<H", 77)
            at += 4
        at = 0
    return bytes(data)


def workbook() -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["photo", "product_id"])
    book.active.append(["a.jpg", "a"])
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "read",
    [
        precomputed.read,
        check.from_npz,
        lambda path: list(excel_lines(path)),
        lambda path: text_tower.unpack(path, "f"),
    ],
)
def test_an_archive_that_cannot_be_unpacked_is_an_error_of_ours(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(of_an_unknown_method(workbook()))
    with pytest.raises(OsoroiError, match=r"a\.xlsx"):
        read(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"</sheetData>", b""),
        (b"<row", b"<row r='x'"),
        (b'r="A1"', b'r="$"'),
        (b't="s"', b't="d"'),
        (b"<v>0", b"<v>99"),
    ],
)
def test_a_workbook_whose_sheet_is_broken_is_read_or_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(io.BytesIO(workbook())) as given, zipfile.ZipFile(path, "w") as made:
        for name in given.namelist():
            content = given.read(name)
            made.writestr(name, content.replace(old, new) if "sheet1" in name else content)
    with contextlib.suppress(OsoroiError):  # anything else is a mistake of ours
        assert all(line.path == path for line in excel_lines(path))


def test_arrays_are_what_numpy_reads(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "a": np.arange(6).reshape(2, 3),
        "b": np.array(["x", "é"]),
        "c": np.array(2.5),
        "d.npy": np.zeros(0),
    }
    np.savez_compressed(tmp_path / "v.npz", **given)
    read = files.arrays(tmp_path / "v.npz")
    assert list(read) == list(given)
    assert all(np.array_equal(read[name], given[name]) and read[name].dtype == given[name].dtype for name in given)
