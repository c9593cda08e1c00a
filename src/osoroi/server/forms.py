"""Forms as browsers and curl send them, read from memory by the framework's parser. Nothing is spooled to disk.

A field that is sent as a file (``-F product=@p.json``, a ``Blob``) is read like a field.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from osoroi.errors import BadRequest, TooLarge

PARTS = 512
"""Fields and files in one form."""

NAME = 200
"""Characters of the name of a field."""

PHOTOS = frozenset({"photo", "kept", "detail_from", "detail_photo", "detail_kept"})
"""Fields that hold photos: they alone may be large."""

ENCODINGS = (b"", b"binary", b"8bit", b"7bit")
"""Content-Transfer-Encoding of a part whose bytes are sent as they are."""


class FormPart(NamedTuple):
    """One part of a form. ``is_file``: it was sent with a file name."""

    content: bytes
    is_file: bool


@dataclass
class Form:
    """The parts of a form by name, in the order they came."""

    parts: dict[str, list[FormPart]] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    """Fields of files that have a name and no bytes."""

    def add(self, name: str, part: FormPart) -> None:
        """Append a part. An empty file is dropped: browsers send one where no file was chosen."""
        if part.content or not part.is_file:
            self.parts.setdefault(name, []).append(part)

    def texts(self, name: str) -> list[str]:
        """All values of a field, whether they came as fields or as files; raises BadRequest where one is no text."""
        try:
            return [part.content.decode("utf-8") for part in self.parts.get(name, [])]
        except UnicodeDecodeError as error:
            raise BadRequest(f"the field {name!r} is not UTF-8", hint="send text as UTF-8") from error

    def one(self, name: str) -> str | None:
        """The value of a field that may come once; empty counts as absent."""
        values = self.texts(name)
        if len(values) > 1:
            raise BadRequest(f"the field {name!r} came {len(values)} times", hint="send it once")
        return values[0] if values and values[0] else None

    def photos(self, *, most: int, name: str = "photo") -> list[bytes]:
        """The files of one name; raises BadRequest for more than ``most``, and for a photo that is no file or empty."""
        if name in self.empty:
            raise BadRequest(
                f"the photo in the field {name!r} is empty", hint="send the file of a photo, with its bytes"
            )
        parts = self.parts.get(name, [])
        if len(parts) > most or any(part.content and not part.is_file for part in parts):
            what = "one photo, as a file" if most == 1 else f"photos as files, {most} at most"
            raise BadRequest(f"send {what}, in the field {name!r}", hint=f"as in: curl -F {name}=@snap.jpg")
        return [part.content for part in parts if part.content]

    def only(self, *names: str) -> None:
        """Refuse fields and files that nothing would read."""
        if unknown := sorted(self.parts.keys() - set(names)):
            raise BadRequest(f"no field is called {unknown[0][:40]!r}", hint=f"there are: {', '.join(names)}")


def media_type(content_type: str) -> str:
    """The type of a Content-Type header, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def parse(body: bytes, content_type: str, *, field_bytes: int = 2**20) -> Form:
    """A whole form: ``multipart/form-data`` or ``application/x-www-form-urlencoded``. See ``MultipartReader``.

    >>> body = b'--b\\r\\nContent-Disposition: form-data; name="k"\\r\\n\\r\\n5\\r\\n--b--\\r\\n'
    >>> parse(body, "multipart/form-data; boundary=b").one("k")
    '5'
    >>> parse(b"k=5&where=price+%3C+3", "application/x-www-form-urlencoded").one("where")
    'price < 3'
    """
    kind = media_type(content_type)
    if kind == "multipart/form-data":
        reader = MultipartReader(content_type, field_bytes=field_bytes)
        reader.feed(body)
        return reader.finish()
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(body)
    raise BadRequest(
        f"a body of the type {kind[:60] or 'unknown'!r} is not understood",
        hint="send multipart/form-data, as curl -F does",
    )


def _urlencoded(body: bytes) -> Form:
    form = Form()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=PARTS, errors="strict")
    except ValueError as error:
        raise BadRequest("the form cannot be read", hint="encode it as UTF-8, percent-escaped") from error
    for name, value in pairs:
        form.add(name, FormPart(value.encode(), is_file=False))
    return form


class MultipartReader:
    """Reads ``multipart/form-data`` piece by piece, so that no step takes long.

    Raises BadRequest for what is no form, and TooLarge as soon as the parts that are no photos together have more than
    ``field_bytes`` bytes.
    """

    def __init__(self, content_type: str, *, field_bytes: int, photos: Collection[str] = PHOTOS) -> None:
        self.form = Form()
        self.field_bytes = field_bytes
        self.photos = photos
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._name, self._is_file, self._has_file_name = "", False, False
        self._content: list[bytes] = []
        self._parts, self._field_bytes, self._whole = 0, 0, False
        boundary = parse_options_header(content_type[:1000])[1].get(b"boundary", b"")
        if not boundary:
            raise BadRequest("the form names no boundary", hint="let the client set the content type of the form")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise BadRequest("the boundary of the form is too long", hint="use one of 70 characters at most") from error

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadRequest("the form cannot be read", hint="send parts as curl -F name=value does") from error

    def finish(self) -> Form:
        """The form; raises BadRequest where its end did not come."""
        if not self._whole:
            raise BadRequest("the form ends before its last boundary", hint="send it again, whole")
        return self.form

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS:
            raise BadRequest(f"the form has more than {PARTS} parts", hint="send fewer")
        self._headers, self._content = {}, []

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower().strip()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind.strip().lower() != b"form-data" or not name:
            raise BadRequest("a part of the form has no name", hint="send parts as curl -F name=value does")
        if len(name) > NAME:
            raise BadRequest(f"the name of a field has more than {NAME} characters", hint="see /openapi.json")
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in ENCODINGS:
            raise BadRequest(f"the field {name!r} is encoded", hint="send the bytes as they are")
        self._name, self._is_file = name, b"filename" in options
        self._has_file_name = bool(options.get(b"filename"))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name not in self.photos:
            self._field_bytes += end - start
            if self._field_bytes > self.field_bytes:
                raise TooLarge(
                    f"the fields that are no photos have more than {self.field_bytes} bytes", hint="send less text"
                )
        self._content.append(data[start:end])

    def _on_part_end(self) -> None:
        part = FormPart(b"".join(self._content), self._is_file)
        self.form.add(self._name, part)
        if self._has_file_name and not part.content:
            self.form.empty.add(self._name)
        self._content = []

    def _on_end(self) -> None:
        self._whole = True
