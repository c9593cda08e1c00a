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
        (["39,90 bis 59,90"], "39,90 bis 59,90", None),
        (["auf Anfrage"], "auf Anfrage", None),
        (["1.299 KWD"], "1.299 KWD", None),  # dinars have three digits
        (["39 ¤"], "39 ¤", None),
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
