"""Targets of ``fuzz.py`` that read files and texts: each gives inputs to begin with, and what is done with an input."""

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from osoroi import image
from osoroi.catalog import filters
from osoroi.data.readers import open_dataset
from osoroi.encoder import Encoder
from osoroi.encoder.metadata import ENTRY, EncoderMetadata, computation, fingerprint
from osoroi.records import Domain, Part, Preprocessing, Product


class Target(NamedTuple):
    """Inputs to begin with, words that mean something in them, and what is done with an input."""

    corpus: Sequence[bytes]
    words: Sequence[bytes]
    run: Callable[[bytes], object]


def photos() -> Target:
    """Files of every format, read whole and cropped."""
    y, x = np.mgrid[0:40, 0:48]
    scene = Image.fromarray(np.stack([5 * x, 6 * y, (x * y) % 256], axis=2).astype(np.uint8))
    clear = scene.copy()
    clear.putalpha(Image.fromarray((5 * x).astype(np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[Image.Image, str, dict[str, object]]] = [
        (scene, "JPEG", {"exif": exif}),
        (scene, "JPEG", {"progressive": True}),
        (scene.convert("CMYK"), "JPEG", {}),
        (scene, "PNG", {}),
        (clear, "PNG", {}),
        (scene.quantize(16), "PNG", {"transparency": 3}),
        (Image.fromarray((x * 900).astype(np.uint16)), "PNG", {}),
        (scene, "WEBP", {}),
        (clear, "WEBP", {"lossless": True}),
        (scene, "AVIF", {}),
        (scene.quantize(16), "GIF", {}),
        (scene, "BMP", {}),
        (scene.quantize(16), "BMP", {}),
        (scene, "TIFF", {}),
        (clear, "TIFF", {"compression": "tiff_lzw"}),
        (scene.convert("1"), "TIFF", {"compression": "group4"}),
        (scene, "TIFF", {"compression": "jpeg"}),
    ]
    limits = image.Limits(pixels=4_000_000)

    def run(data: bytes) -> None:
        image.read(data, limits=limits)
        image.crop(data, None, Preprocessing(32, 32, trim=True), limits=limits)
        image.thumbnail(data, 20, limits=limits)

    words = [b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"IDAT", b"IEND", b"\xff\xc2", b"\xff\xda", b"VP8X", b"ftypheic"]
    return Target([saved(picture, kind, options) for picture, kind, options in kinds], words, run)


def saved(picture: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    """The bytes of a photo file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


SHEET: Final = "xl/worksheets/sheet1.xml"
SUFFIXES: Final = {b"j": "jsonl", b"o": "json", b"x": "xml", b"p": "parquet", b"w": "xlsx", b"s": "xlsx"}


def tables() -> Target:
    """CSV, JSON, JSON Lines, XML, Parquet and Excel, each by a name that says so; the first byte chooses. Of a workbook
    the sheet is edited, or the whole file."""
    import openpyxl
    import pyarrow
    from pyarrow import parquet

    line = {"photo": "a.jpg", "product_id": "p1", "domain": "street", "left": 1, "top": 2, "right": 30, "bottom": 40}
    line |= {"title": "a, b", "price": 12.5, "size": "M", "sale": True}
    head, row = ",".join(line), ",".join(f'"{value}"' for value in line.values())
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([line] * 5), file)
    workbook = openpyxl.Workbook()
    workbook.active.append(list(line))
    workbook.active.append(list(line.values()))
    workbook.save(book := io.BytesIO())
    with zipfile.ZipFile(book) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    feed = "".join(f"<{name}>{value}</{name}>" for name, value in line.items())
    corpus = [
        b"x" + f"<?xml version='1.0'?><products><product>{feed}</product></products>".encode(),
        b"o" + json.dumps([line, line]).encode(),
        b"w" + book.getvalue(),
        b"s" + members[SHEET],
        b"c" + f"{head}\n{row}\n{row.replace('p1', 'p2')}\n".encode(),
        b"c" + head.replace(",", ";").encode() + b"\n\xef\xbb\xbf;\n",
        b"j" + (json.dumps(line) + "\n").encode() * 3,
        b"p" + file.getvalue(),
    ]
    folder = Path(tempfile.mkdtemp(prefix="osoroi-fuzz-"))

    def run(data: bytes) -> None:
        suffix = SUFFIXES.get(data[:1], "csv")
        path = folder / f"table.{suffix}"
        if data[:1] == b"s":
            with zipfile.ZipFile(path, "w") as file:
                for name, content in (members | {SHEET: data[1:]}).items():
                    file.writestr(name, content)
        else:
            path.write_bytes(data[1:])
        for found in open_dataset(f"table:{path}").rows():
            str(found)

    words = [b'"', b"\n", b"\r", b";", b"\t", b"true", b"1e999", b"NaN", b"\xe2\x80\xae", b"\xff\xfe", b"{", b"null"]
    return Target(corpus, words, run)


def where() -> Target:
    """Filters as text and as JSON, resolved and compared with a product."""
    corpus = [
        b'category = skirts and price <= 5000 and brand in ("A", "B") and not attributes.sale',
        b'(size = "38" or attributes."in stock" != true) and title is not missing',
        b'{"and": [{"column": "price", "<=": 5000}, {"not": {"column": "sale", "=": true}}]}',
    ]
    product = Product("p", "t", "skirts", "A", 12.0, attributes={"sale": True, "size": "38", "in stock": False})
    kinds: dict[str, frozenset[filters.nodes.ValueType]] = {
        "sale": frozenset({"flag"}),
        "size": frozenset({"text"}),
        "in stock": frozenset({"flag"}),
    }

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        filter_ = filters.parse(text)
        filters.matches(filters.checked(filter_, kinds, text=text), product)
        try:
            condition = json.loads(text)
        except (ValueError, RecursionError):
            return
        filters.checked(filters.parse(condition), kinds)

    words = [b"(", b")", b" and ", b" or ", b" not ", b" in ", b'"', b"\\", b"attributes.", b"1e400", b"\xe2\x80\xa8"]
    return Target(corpus, words, run)


def forms() -> Target:
    """Bodies of multipart and of forms, as the service parses them; the first line is the content type."""
    from osoroi.server import forms as parser

    part = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    field = b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\n5\r\n'
    corpus = [
        b"multipart/form-data; boundary=b\n" + part + b"\xff\xd8\xff\r\n" + field + b"--b--\r\n",
        b"application/x-www-form-urlencoded\nk=5&where=price+%3C+3&detail=.5",
    ]

    def run(data: bytes) -> None:
        content_type, _, body = data.partition(b"\n")
        parser.parse(body, content_type.decode("latin-1"))

    return Target(
        corpus, [b"--b", b"\r\n", b"\r\n\r\n", b"%", b"filename*=utf-8''", b'name="', b"&", b"boundary="], run
    )


def encoders() -> Target:
    """Encoder files of a small graph. An even first byte: sign what was edited, so that it is run."""
    from onnx import TensorProto, helper

    parts = (Part("deep", 1, 0.25), Part("detail", 2, 0.75))
    views: dict[Domain, Preprocessing] = {"street": Preprocessing(4, 2), "shop": Preprocessing(4, 2)}
    nodes = [
        helper.make_node("Cast", ["crops"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "one"], ["above"]),
        helper.make_node("Split", ["above", "sizes"], ["first", "second"], axis=1),
        helper.make_node("LpNormalization", ["first"], ["deep"], axis=1, p=2),
        helper.make_node("LpNormalization", ["second"], ["detail"], axis=1, p=2),
        helper.make_node("Concat", ["deep", "detail"], ["vectors"], axis=1),
    ]
    held = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("sizes", TensorProto.INT64, [2], [1, 2]),
    ]
    takes = [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["b", 4, 2, 3])]
    gives = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["b", 3])]
    graph = helper.make_graph(nodes, "g", takes, gives, held).SerializeToString()

    def run(data: bytes) -> None:
        path = Path(tempfile.gettempdir()) / "osoroi-fuzz.onnx"
        model = b"\x08\x0a\x42\x04\x0a\x00\x10\x12" + field(7, data[1:])
        if data[:1] and not data[0] % 2:
            signed = fingerprint(computation(model), parts, views)
            card = EncoderMetadata(parts, views, "r", "t", "l", signed).to_json().encode()
            model += field(14, field(1, ENTRY.encode()) + field(2, card))
        path.write_bytes(model if data[:1] != b"\1" else data)
        Encoder.open(path, limit_s=5)

    words = [b"Loop", b"If", b"Concat", b"\x3a", b"\x0a\x00", b"crops", b"vectors", struct.pack("<q", 2**40)]
    return Target([b"\0" + graph, b"\1" + graph, b"\2" + graph], words, run)


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes."""
    size, length = bytearray(), len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content


FILES: Final[dict[str, Callable[[], Target]]] = {
    "photos": photos,
    "tables": tables,
    "where": where,
    "forms": forms,
    "encoders": encoders,
}
