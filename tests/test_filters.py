"""The filter language: what it means, that JSON means the same, and that errors point at the place."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osoroi.catalog import filters
from osoroi.catalog.filters import Among, Compare, Every, Missing, Not, Some, checked, from_json, matches, parse
from osoroi.catalog.filters.nodes import ValueType
from osoroi.errors import BadFilter
from osoroi.records import Product

SKIRT = Product(
    "s",
    "Pleated skirt",
    category="skirts",
    brand="A",
    price=4000.0,
    attributes={"sale": False, "size": "M", "since": "2026-01-01", "sizes": ("S", "m"), "widths": (38.0, 40.0)},
)
TOP = Product(
    "t",
    category="tops",
    price=9000.0,
    attributes={"sale": True, "size": 38.0, "since": "2026-01-31T23:00:00", "sizes": ("L", "XL")},
)
BARE = Product("b")
LISTED: dict[str, frozenset[ValueType]] = {
    "since": frozenset(["text"]),
    "sizes": frozenset(["texts"]),
    "widths": frozenset(["numbers"]),
}
ATTRIBUTES: dict[str, frozenset[ValueType]] = LISTED | {
    "sale": frozenset(["flag"]),
    "size": frozenset(["text", "number"]),
    "size eu": frozenset(["number"]),
}


def found(where) -> str:
    return "".join(one.product_id for one in (SKIRT, TOP, BARE) if matches(checked(parse(where), ATTRIBUTES), one))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("category = skirts and price <= 5000 and brand in ('A', \"B\") and not attributes.sale", "s"),
        ("category = 'skirts' OR price > 8000", "st"),
        ("price < 4000", ""),
        ("price <= 4e3", "s"),
        ("sale", "t"),
        ("not sale", "sb"),  # nothing is said about the sale of b: it is not on sale
        ("sale = false", "s"),
        ("sale != true", "sb"),
        ("brand != A", "tb"),  # the negation of `brand = A`, which b does not match
        ("brand not in (A)", "tb"),
        ("brand is missing", "tb"),
        ("brand is not missing", "s"),
        ("size = M", "s"),
        ("size = 38", "t"),  # text and numbers in one column do not mix
        ("size >= 0", "t"),
        ("size in (M, 38)", "st"),
        ("brand in ()", ""),
        ("title > 'Oleander'", "s"),
        ("not (category = skirts or category = tops)", "b"),
        ("not not sale", "t"),
        ("price > 1 and price < 5000 or product_id = b", "sb"),  # and binds tighter
        ("product_id = b or price > 1 and price < 5000", "sb"),
        ("category = SKIRTS", "s"),
        ("category == SKIRTS", ""),
        ("category == skirts", "s"),
        ("category !== SKIRTS", "stb"),
        ("category = ｓｋｉｒｔｓ", "s"),
        ("category in (Skirts, TOPS)", "st"),
        ("category exactly in (Skirts, tops)", "t"),
        ("title = pleated skirt and price < 5000", "s"),
        ("title contains SKIRT", "s"),
        ("title not contains skirt", "tb"),
        ("price between 4000 and 9000 and brand = a", "s"),
        ("price not between 3000 and 5000", "tb"),
        ("price > 8000 && sale || brand = A", "st"),
        ("!sale && price > 1", "s"),
        ("PRODUCT_ID = s and Size = m", "s"),
        ("product_id = S", ""),  # ids are compared letter by letter
        ("since = 2026-01-31", "t"),
        ("since <= 2026-01-30", "s"),
        ("since > 2026-01-30 and since < 2026-02-01", "t"),
        ("since between 2026-01-01 and 2026-01-31", "st"),
        ("sizes = L or sizes contains xl", "t"),
        ("sizes contains l", "t"),
        ("sizes contains X", ""),  # a value of the list, not a part of one
        ("sizes != L", "sb"),
        ("sizes in (S, XL)", "st"),
        ("sizes is missing", "b"),
        ("widths contains 38", "s"),
        ("widths > 38", "s"),
        ("brand = 7", ""),
        ("", "stb"),
        ("  \n", "stb"),
    ],
)
def test_a_filter_means_what_its_page_says(where, expected):
    assert found(where) == expected


@pytest.mark.parametrize(
    ("where", "data"),
    [
        ("price <= 5000", {"column": "price", "<=": 5000}),
        ("price != 5000", {"column": "price", "!=": 5000.0}),
        ("brand in (A, 'B C')", {"column": "brand", "in": ["A", "B C"]}),
        ("brand not in (A)", {"not": {"column": "brand", "in": ["A"]}}),
        ("price is missing", {"column": "price", "missing": True}),
        ("price is not missing", {"column": "price", "missing": False}),
        ("sale", {"column": "sale", "=": True}),
        ("a = 1 and b = 2", {"and": [{"column": "a", "=": 1}, {"column": "b", "=": 2}]}),
        ("a or not b", {"or": [{"column": "a", "=": True}, {"not": {"column": "b", "=": True}}]}),
        ("", {"and": []}),
        ('attributes."size eu" = 38', {"column": "attributes.size eu", "=": 38}),
        (r"""title = "6\" heel \\ 'x'" """, {"column": "title", "=": "6\" heel \\ 'x'"}),
        ("色 = 赤", {"column": "色", "=": "赤"}),
        ("brand == A", {"column": "brand", "==": "A"}),
        ("sizes contains M", {"column": "sizes", "contains": "M"}),
        ("brand exactly in (A)", {"column": "brand", "exactly in": ["A"]}),
        ("brand = H&M", {"column": "brand", "=": "H&M"}),
        ("brand = t-shirt", {"column": "brand", "=": "t-shirt"}),
    ],
)
def test_json_means_the_same_as_text(where, data):
    assert parse(where) == parse(data) == parse(json.dumps(data))


def test_words_become_frozen_conditions_that_know_their_place():
    filter_ = parse("price <= 5000 and (sale or brand is missing)")
    price, either = Compare("price", "<=", 5000.0), Some((Compare("sale", "=", True), Missing("brand")))
    assert filter_ == Every((price, either))
    assert isinstance(filter_, Every)
    assert isinstance(filter_.of[1], Some)
    conditions = [part for part in (filter_.of[0], *filter_.of[1].of) if isinstance(part, Compare | Missing)]
    assert [part.at for part in conditions] == [0, 19, 27]
    assert hash(filter_) == hash(Every((price, either))), "so that a catalog can remember what matched"


def test_a_column_of_every_product_wins_over_an_attribute_of_its_name():
    attributes: dict[str, frozenset[ValueType]] = {"price": frozenset(["text"]), "sale": frozenset(["flag"])}
    assert checked(parse("price = 3 and attributes.price = cheap and sale"), attributes) == Every(
        (Compare("price", "=", 3.0), Compare("attributes.price", "=", "cheap"), Compare("attributes.sale", "=", True))
    )


@pytest.mark.parametrize(
    ("where", "column", "says"),
    [
        ("price <=", 9, "expected a value, found the end"),
        ("price 5000", 7, "expected .*a comparison, found '5000'"),
        ("price <= 5000 brand = A", 15, "expected 'and' or 'or', found 'brand'"),
        ("brand = A price <= 5000", 17, "expected .*'and' or 'or', found '<='"),
        ("category = skirts and\n and price", 2, "found 'and'"),
        ("(price < 3", 11, r"expected '\)'"),
        ("price < 3)", 10, "found '\\)'"),
        ("title = 'x", 9, "this quote is never closed"),
        ("price < 5yen", 9, "found '5yen'"),
        ("price === 5", 9, "found '='"),
        ("brand in A", 10, r"expected '\('"),
        ("price > 1; DROP TABLE products", 10, "found ';'"),
        ("Wash °C < 40", 6, r'found \'°C\'.* no plain word is written attributes."in stock"'),
        ('"in stock" = yes', 1, r'expected .*a column, .* no plain word is written attributes."in stock"'),
        (
            "colour = red",
            1,
            "there is no column 'colour'.*there are: product_id, .*attributes.sale, attributes.since, attributes.size",
        ),
        ("price = cheap", 1, "price holds numbers, and 'cheap' is text"),
        ("brand < 7", 1, "brand holds text, and 7 is a number"),
        ("sale and sale = 1", 10, "attributes.sale holds flags, and 1 is a number"),
        ("sale < true", 1, "no order"),
        ("価格 < 3", 1, "no column '価格'"),
    ],
)
def test_an_error_points_at_the_place(where, column, says):
    with pytest.raises(BadFilter, match=rf"column {column}\b") as raised:
        checked(parse(where), ATTRIBUTES, text=where)
    assert re.search(f"(?s){says}", str(raised.value))
    line, caret = str(raised.value).split("\n")[-2:]
    assert line.strip() in where
    assert caret.index("^") == 2 + column - 1, "the caret stands below the column"


def test_the_caret_stands_below_wide_letters_too():
    with pytest.raises(BadFilter) as raised:
        parse("色 = 赤 < 赤")
    assert str(raised.value).endswith("\n  色 = 赤 < 赤\n  \u3000   \u3000 ^")


@pytest.mark.parametrize(
    "data",
    [
        {"column": "price"},
        {"column": "price", "<=": None},
        {"column": "price", "<=": float("nan")},
        {"column": "price", "<=": [1]},
        {"column": "price", "~": 1},
        {"column": "price", "<=": 1, ">=": 0},
        {"column": 3, "=": 1},
        {"and": {"column": "a", "=": 1}},
        {"and": [], "or": []},
        {"column": "brand", "in": "AB"},
        {"column": "brand", "missing": 1},
        {},
        ["and"],
        {"not": {"not": 3}},
    ],
)
def test_json_that_is_no_filter_is_refused(data):
    with pytest.raises(BadFilter, match=r"for instance|values are text"):
        from_json.read(data)


@pytest.mark.parametrize(
    "where",
    [
        "(" * 500 + "sale" + ")" * 500,
        "not " * 2000 + "(" * 31 + "sale" + ")" * 31,
        " or ".join(["sale"] * 201),
        "sale or " * 2000 + "sale",
        '{"not": ' * 5000 + "3" + "}" * 5000,
        '{"and": [' * 40 + "]}" * 40,
        "price < 1e999",
    ],
)
def test_a_filter_that_is_too_much_is_refused_and_breaks_nothing(where):
    with pytest.raises(BadFilter, match=r"levels|conditions|characters|JSON|large|finite"):
        checked(parse(where), ATTRIBUTES, text=where)


@given(st.text(max_size=60) | st.text("()\"'<=!, andortiis.5e-\\{}[]:é色", max_size=60))
def test_any_text_is_a_filter_or_a_bad_filter(where):
    with contextlib.suppress(BadFilter):
        checked(parse(where), ATTRIBUTES, text=where)


values = st.one_of(st.booleans(), st.floats(-9, 9), st.text("ab'\"\\色 ", max_size=3))
columns = st.sampled_from([*filters.COLUMNS, "attributes.sale", "attributes.size", "attributes.size eu"])
# tuples, and no records yet: their type checks draw samples, which must not happen while hypothesis draws
conditions = st.one_of(
    st.tuples(st.just(Compare), columns, st.sampled_from(["=", "==", "contains", "<", "<=", ">", ">="]), values),
    st.tuples(st.just(Among), columns, st.lists(values, max_size=3).map(tuple)),
    st.tuples(st.just(Missing), columns),
)
attributes = st.dictionaries(st.sampled_from(["sale", "size", "size eu"]), st.none() | values, max_size=3)


@given(conditions, st.none() | st.floats(-9, 9), st.none() | st.text("ab", max_size=2), attributes)
def test_every_product_matches_either_a_condition_or_its_negation(condition, price, category, attributes):
    make, *arguments = condition
    product = Product("p", price=price, category=category, attributes=attributes)
    assert matches(make(*arguments), product) is not matches(Not(make(*arguments)), product)


def written(condition) -> str:
    """A condition as a careful person writes it."""
    name = condition.column
    name = f'attributes."{name.removeprefix("attributes.")}"' if name not in filters.COLUMNS else name

    def value(one) -> str:
        if isinstance(one, bool):
            return str(one).lower()
        if isinstance(one, float):
            return f"{one!r}"
        return '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'

    match condition:
        case Missing():
            return f"{name} is missing"
        case Among():
            return f"{name} in ({', '.join(map(value, condition.values))})"
    return f"{name} {condition.operator} {value(condition.value)}"


@given(conditions)
def test_what_a_careful_person_writes_is_read_as_meant(condition):
    make, *arguments = condition
    assert parse(written(make(*arguments))) == make(*arguments)


def test_an_unknown_column_names_few_that_are_like_it_as_a_filter_writes_them() -> None:
    names = [*(f"has_{number}" for number in range(1000)), "in stock"]
    kinds: dict[str, frozenset[ValueType]] = {name: frozenset({"flag"}) for name in names}
    with pytest.raises(BadFilter, match=r'there are \d+, for instance: .*attributes\."in stock"') as caught:
        checked(parse("in_stock"), kinds)
    assert len(str(caught.value)) < 1_000
