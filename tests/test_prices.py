"""Prices of any locale, against numbers that are formatted here digit by digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osoroi.data.prices import PriceFormat

LOCALES = {"en": (",", "."), "de": (".", ","), "fr": ("\u202f", ","), "ch": ("’", "."), "sv": ("\u00a0", ",")}
CURRENCIES = {
    "JPY": ("¥{}", "{}円", "{} JPY"),
    "EUR": ("{} €", "€{}", "EUR {}"),
    "USD": ("US${}", "{} USD"),
    "GBP": ("£{}",),
}


def formatted(cents: int, group: str, decimal: str, *, digits: int) -> str:
    """A number with groups of three, by slow obvious steps."""
    whole, fraction = divmod(cents, 10**digits)
    text = str(whole)
    parts: list[str] = []
    while len(text) > 3:
        parts.insert(0, text[-3:])
        text = text[:-3]
    return group.join([text, *parts]) + (f"{decimal}{fraction:0{digits}}" if digits else "")


@given(st.sampled_from(sorted(LOCALES)), st.sampled_from(sorted(CURRENCIES)), st.integers(0, 10**9), st.integers(0, 9))
def test_every_locale_gives_the_exact_number(locale: str, code: str, cents: int, form: int) -> None:
    group, decimal = LOCALES[locale]
    digits = 0 if code == "JPY" else 2
    forms = CURRENCIES[code]
    text = forms[form % len(forms)].format(formatted(cents, group, decimal, digits=digits))
    column = PriceFormat()
    column.see(text)
    assert column.amount(text) == (pytest.approx(cents / 10**digits, rel=1e-15), code)


@pytest.mark.parametrize(
    ("seen", "text", "amount"),
    [
        (["39,90", "1.299"], "1.299", 1299.0),  # a comma elsewhere, so a point groups
        (["39.90", "1,299"], "1,299", 1299.0),
        (["1.299 €"], "1.299 €", 1299.0),  # euros have two digits
        (["1.299"], "1.299", None),
        (["39.90", "1.299"], "1.299", None),  # a slip, or three digits?
        (["39,90", "39.90"], "39.90", 39.9),  # both can be read one way only
        (["1.234.567"], "1.234.567", 1234567.0),
        (["12.34.56"], "12.34.56", None),
        (["39,90 bis 59,90"], "39,90 bis 59,90", 39.9),  # the lower end
        (["59,90 – 39,90 €"], "59,90 – 39,90 €", 39.9),
        (["$39.90-49.90"], "$39.90-49.90", 39.9),
        (["ab 39,90"], "ab 39,90", 39.9),
        (["3,990円～"], "3,990円～", 3990.0),
        (["3,990円 (税抜 3,627円)"], "3,990円 (税抜 3,627円)", 3990.0),
        (["from soon"], "from soon", None),
        (["2026-01-31"], "2026-01-31", None),
        (["statt 59,90 € nur 39,90 €"], "statt 59,90 € nur 39,90 €", None),
        (["39 € – $49"], "39 € – $49", None),
        (["1.299 KWD"], "1.299 KWD", None),  # dinars have three digits
        (["39 ¤"], "39 ¤", None),
        (["kr 129 199"], "kr 129 199", None),  # one price of thousands, or a lower and a higher one?
        (["49 129 kr", "99 kr"], "49 129 kr", None),
        (["12 990 kr", "1 299 kr", "1299 kr"], "12 990 kr", None),  # thousands have no space elsewhere
        (["12 990 kr", "1 299 kr"], "12 990 kr", 12990.0),
        (["129 900 Ft", "9900 Ft"], "129 900 Ft", None),
        (["129 900 Ft"], "129 900 Ft", 129900.0),  # nothing is sold for 129 forints
        (["12 990"], "12 990", 12990.0),
    ],
)
def test_what_allows_one_reading_is_read_and_nothing_else(seen: list[str], text: str, amount: float | None) -> None:
    column = PriceFormat()
    for one in seen:
        column.see(one)
    if amount is None:
        with pytest.raises(ValueError, match="is"):
            column.amount(text)
    else:
        assert column.amount(text)[0] == amount


def test_the_yen_sign_is_that_of_china_where_prices_have_fractions() -> None:
    column = PriceFormat()
    column.see("¥39.90")
    assert column.amount("¥1,290") == (1290.0, "CNY")
    assert column.notes()[0] == "`¥` read as CNY"


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "shift_jis"])
@pytest.mark.parametrize("text", [b"\\3,990", b"\\ 3990", b"\\1,298"])
def test_the_byte_that_japanese_encodings_show_as_yen_is_read_as_yen(encoding: str, text: bytes) -> None:
    column = PriceFormat()
    decoded = text.decode(encoding)
    column.see(decoded)
    assert column.amount(decoded) == (float(text.decode().strip("\\ ").replace(",", "")), "JPY")


@pytest.mark.parametrize("text", ["売り切れ", "Sold out", "auf Anfrage", "-", "—", "N/A", "オープン価格"])
def test_what_says_that_there_is_no_price_is_none_and_said(text: str) -> None:
    column = PriceFormat()
    column.see(text)
    column.see("39,90 €")
    assert column.amount(text) == (None, "")
    assert column.notes()[0] == f"`{text}` read as no price, in 1 lines"


def test_the_lowest_of_several_prices_is_said() -> None:
    column = PriceFormat()
    for cell in ("ab 39,90 €", "12,00 €", "1 – 2 €"):
        column.see(cell)
    assert column.notes()[0] == "`ab 39,90 €` read as the lowest price, and so in 2 lines"


@pytest.mark.parametrize(
    ("text", "stated", "amount"),
    [
        ("$39.90", "CAD", (39.9, "CAD")),
        ("$39.90", "mxn", (39.9, "MXN")),
        ("$39.90", "XCD", (39.9, "XCD")),  # a dollar that is not listed
        ("¥3,990", "JPY", (3990.0, "JPY")),
        ("¥3,990", "CNY", (3990.0, "CNY")),
        ("kr 399", "NOK", (399.0, "NOK")),
        ("£39.90", "EGP", (39.9, "EGP")),
        ("$39.90", "$", (39.9, "USD")),  # the sign in both columns says no more than once
        ("39,90 €", "€", (39.9, "EUR")),
        ("€39.90", "USD", (39.9, "EUR")),  # which the reader of the line refuses
        ("$39.90", "EUR", (39.9, "USD")),
        ("CAD $39.90", "", (39.9, "CAD")),
        ("$39.90 AUD", "", (39.9, "AUD")),
        ("NZ$39.90 NZD", "", (39.9, "NZD")),
        ("€39.90 EUR", "", (39.9, "EUR")),
    ],
)
def test_a_sign_of_several_currencies_is_that_of_the_line_or_the_cell(
    text: str, stated: str, amount: tuple[float, str]
) -> None:
    column = PriceFormat()
    for one in ("39.90", text):
        column.see(one)
    assert column.amount(text, stated) == amount


@pytest.mark.parametrize("text", ["$39.90 EUR", "€39.90 USD", "USD 39.90 CAD", "£ $39.90"])
def test_a_sign_beside_the_code_of_another_currency_is_no_price(text: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        PriceFormat().amount(text)


def test_fractions_of_other_currencies_say_nothing_of_the_yen_sign() -> None:
    column = PriceFormat()
    for cell, stated in (("€39.90", ""), ("39.90", "USD"), ("¥39.90", "CNY"), ("¥3,990", "")):
        column.see(cell, stated)
    assert (column.amount("¥3,990"), column.amount("¥39.90", "CNY")) == ((3990.0, "JPY"), (39.9, "CNY"))
    assert column.notes()[0] == "`¥` read as JPY"


def test_a_sign_that_every_line_explains_is_not_said() -> None:
    column = PriceFormat()
    column.see("$39.90", "CAD")
    assert column.notes() == []


def test_a_header_decides_only_signs_that_may_be_of_its_currency() -> None:
    column = PriceFormat(currency="EUR")
    column.see("$39.90")
    assert (column.amount("$39.90"), column.amount("39.90")) == ((39.9, "USD"), (39.9, "EUR"))
    assert column.notes() == ["`$` read as USD"]
