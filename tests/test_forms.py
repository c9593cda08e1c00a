"""Forms and addresses: what one side writes, the other reads; and what is no form is refused."""

import contextlib
import io
import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osoroi.catalog import filters
from osoroi.catalog.filters import COLUMNS
from osoroi.errors import BadRequest, TooLarge, TooMuch
from osoroi.records import Box
from osoroi.server import forms
from osoroi.server.forms import Form, FormPart, MultipartReader
from osoroi.server.limits import MemoryBudget
from osoroi.server.pages.url_state import UrlState, from_pairs
from osoroi.server.settings import Settings
from shop import RED, picture

names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters='"\\%'), min_size=1, max_size=8
)
parts = st.lists(
    st.tuples(
        names, st.one_of(st.text(st.characters(codec="utf-8"), max_size=40), st.binary(min_size=1, max_size=200))
    ),
    max_size=6,
)


def written(parts: list[tuple[str, str | bytes]]) -> httpx.Request:
    """The parts as another client writes them: text as fields, bytes as files."""
    files = [(name, ("f", value) if isinstance(value, bytes) else (None, value)) for name, value in parts]
    return httpx.Request("POST", "http://x", files=files)


def expected(parts: list[tuple[str, str | bytes]]) -> dict[str, list[FormPart]]:
    found: dict[str, list[FormPart]] = {}
    for name, value in parts:
        content = value if isinstance(value, bytes) else value.encode()
        found.setdefault(name, []).append(FormPart(content, isinstance(value, bytes)))
    return found


@settings(max_examples=100, deadline=None)
@given(parts.filter(bool), st.integers(1, 500))
def test_a_multipart_form_is_read_as_another_client_writes_it_whatever_the_pieces_it_comes_in(parts, step):
    request = written(parts)
    body, kind = request.read(), request.headers["content-type"]
    assert forms.parse(body, kind).parts == expected(parts)
    reader = MultipartReader(kind, field_bytes=2**20)
    for start in range(0, len(body), step):
        reader.feed(body[start : start + step])
    assert reader.finish().parts == expected(parts)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))))
def test_an_urlencoded_form_is_read_as_the_standard_library_writes_it(pairs):
    form = forms.parse(urlencode(pairs).encode(), "application/x-www-form-urlencoded; charset=utf-8")
    assert form.parts == expected(pairs)


columns = COLUMNS | {"attributes.size": frozenset(["text"]), "attributes.sale": frozenset(["flag"])}
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
ids = texts.map(str.strip).filter(bool)
prices = st.integers(0, 10**12).map(float) | st.floats(0, 1e300)


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries({}, optional={
        "product_id": ids,
        "crop_id": ids,
        "box": st.tuples(*[st.integers(0, 999)] * 4),
        "detail": st.floats(0, 1),
        "k": st.integers(1, 200),
        "choices": st.fixed_dictionaries(
            {},
            optional={
                name: st.lists(values, min_size=1, max_size=3, unique=True).map(tuple)
                for name, values in (
                    ("category", texts), ("brand", texts), ("attributes.size", texts),
                    ("attributes.sale", st.booleans()),
                )
            },
        ),
        "above": prices,
        "below": prices,
        "saliency": st.booleans(),
        "lang": st.sampled_from(["en", "ja"]),
    })
)  # fmt: skip
def test_an_address_says_all_of_a_page_and_its_filter_is_one_that_the_catalog_reads(fields):
    state = UrlState(**fields | ({"box": Box(*fields["box"])} if "box" in fields else {}))
    address = state.address()
    assert address.isascii()
    pairs = parse_qsl(urlsplit(address).query, keep_blank_values=True)
    assert from_pairs(pairs, Settings(), columns) == state
    if (where := state.where()) is not None:
        filters.parse(json.loads(where))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["product", "box", "k", "detail", "above", "a.sale", "left", "lang"]) | texts,
                          st.text(max_size=20))))  # fmt: skip
def test_no_address_is_refused_and_its_own_address_is_the_same_page(pairs):
    state = from_pairs(pairs, Settings(), columns)
    again = parse_qsl(urlsplit(state.address()).query, keep_blank_values=True)
    assert from_pairs(again, Settings(), columns).address() == state.address()


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from(["multipart/form-data; boundary=b", "multipart/form-data", "text/x", ""])
)
def test_no_body_breaks_the_parser(body, content_type):
    for start, end in ((b"--b\r\n", b"\r\n--b--"), (b"", b"")):
        with contextlib.suppress(BadRequest):
            forms.parse(start + body + end, content_type)


def test_a_form_that_was_cut_is_refused_wherever_it_was_cut():
    request = httpx.Request("POST", "http://x", files={"photo": ("a", picture(RED))}, data={"k": "5"})
    body = request.read()
    for end in range(0, len(body) - 4, 3):
        with pytest.raises(BadRequest):
            forms.parse(body[:end], request.headers["content-type"])


def test_a_field_sent_as_a_file_is_read_like_a_field_and_text_that_is_none_is_refused():
    form = Form({"product": [FormPart(b'{"title": "x"}', True)], "box": [FormPart(b"\xff", True)]})
    assert form.one("product") == '{"title": "x"}'
    with pytest.raises(BadRequest, match="'box' is not UTF-8"):
        form.texts("box")


HEAD = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n%b\r\n'
MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (HEAD % (b"x" * 300, b"") + b"1\r\n--b--\r\n", MULTIPART, "more than 200 characters"),
        ((HEAD % (b"k", b"") + b"\r\n") * 600 + b"--b--\r\n", MULTIPART, "more than 512 parts"),
        (HEAD % (b"photo", b"Content-Transfer-Encoding: base64\r\n") + b"aGk=\r\n--b--\r\n", MULTIPART, "encoded"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--\r\n", MULTIPART, "no name"),
        (b"--b\r\n" + b"a" * 100_000, MULTIPART, "cannot be read"),
        (b"", "multipart/form-data; boundary=" + "b" * 500, "too long"),
        (b"", 'multipart/form-data; boundary=""', "no boundary"),
        (b"a=%ff", "application/x-www-form-urlencoded", "cannot be read"),
        (b"&".join([b"a=1"] * 600), "application/x-www-form-urlencoded", "cannot be read"),
        (b"{}", "application/json", "'application/json' is not understood"),
        (b"{}", "x" * 60_000, "is not understood"),
    ],
)
def test_what_is_no_form_is_refused_in_few_words(body, content_type, says):
    with pytest.raises(BadRequest, match=says) as caught:
        forms.parse(body, content_type)
    assert len(str(caught.value)) < 300


def test_fields_have_a_small_limit_and_photos_have_not():
    large = io.BytesIO(bytes(3000))
    photo = httpx.Request("POST", "http://x", files={"photo": ("a", large)}, data={"k": "5"})
    assert len(forms.parse(photo.read(), photo.headers["content-type"], field_bytes=1000).photos(most=1)[0]) == 3000
    field = httpx.Request("POST", "http://x", files={"where": (None, bytes(3000))})
    with pytest.raises(TooLarge, match="more than 1000 bytes"):
        forms.parse(field.read(), field.headers["content-type"], field_bytes=1000)


def test_a_budget_that_is_spent_takes_nothing():
    budget = MemoryBudget(10)
    budget.take(7)
    with pytest.raises(TooMuch):
        budget.take(4)
    budget.give(7)
    budget.take(10)
    assert budget.used == 10
