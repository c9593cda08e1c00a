"""Currencies of prices: their signs, some of which are those of several, their codes, and the digits of a fraction."""

import re
import unicodedata

SIGNS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD", "NT$": "TWD",
    "S$": "SGD", "R$": "BRL", "MX$": "MXN", "€": "EUR", "£": "GBP", "₩": "KRW", "₹": "INR", "RS": "INR", "RS.": "INR",
    "₽": "RUB", "РУБ": "RUB", "РУБ.": "RUB", "₺": "TRY", "TL": "TRY", "฿": "THB", "₫": "VND", "Đ": "VND", "₪": "ILS",
    "₱": "PHP", "RP": "IDR", "RM": "MYR", "FT": "HUF", "ZŁ": "PLN", "KČ": "CZK", "ЛВ": "BGN", "ЛВ.": "BGN",
    "LEI": "RON", "₴": "UAH", "円": "JPY", "YEN": "JPY", "元": "CNY", "RMB": "CNY", "FR.": "CHF", "SFR.": "CHF",
    "EURO": "EUR", "EUROS": "EUR", "원": "KRW", "₸": "KZT", "₦": "NGN",
}  # fmt: skip
"""Sign of a currency, in capitals -> its code. ``$``, ``¥`` and ``kr`` are those of several."""

SHARED = {
    sign: tuple(codes.split())
    for sign, codes in {
        "$": "USD CAD AUD NZD HKD SGD TWD MXN ARS CLP COP UYU BRL", "¥": "JPY CNY", "\\": "JPY KRW",
        "元": "CNY TWD HKD", "KR": "SEK NOK DKK ISK", "KR.": "DKK NOK SEK ISK",
        "£": "GBP EGP LBP", "RS": "INR PKR LKR", "RS.": "INR PKR LKR",
    }.items()
}  # fmt: skip
"""Sign of several currencies -> all of them, the one it is read as first, which is said aloud where ``SIGNS`` lacks it.
CP932 and EUC-JP write yen as the byte of `\\`."""

CURRENCIES = (
    "AED ARS AUD BDT BGN BHD BRL CAD CHF CLP CNY COP CZK DKK DZD EGP EUR GBP GEL GHS HKD HRK HUF IDR ILS INR"
    " IQD IRR ISK JOD JPY KES KRW KWD KZT LBP LKR LYD MAD MXN MYR NGN NOK NZD OMR PEN PHP PKR PLN PYG QAR RON"
    " RSD RUB RWF SAR SEK SGD THB TND TRY TWD TZS UAH UGX USD UYU UZS VND XAF XOF ZAR"
)
CODES = frozenset(CURRENCIES.split())
DIGITS = {
    **dict.fromkeys(("JPY", "KRW", "VND", "CLP", "ISK", "PYG", "RWF", "UGX", "XAF", "XOF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Digits of a currency's fraction, where they are not two."""

LARGE = ("ARS", "COP", "HUF", "IDR", "IRR", "KES", "KZT", "LBP", "LKR", "NGN", "PKR", "RSD", "RUB", "TZS", "UZS")
"""Currencies with fractions in which garments cost thousands."""


def is_sign(text: str) -> bool:
    """Whether text in capitals is a sign or a code of a currency."""
    return text in SIGNS or text in SHARED or text in CODES


def may_be(sign: str, code: str) -> bool:
    """Whether a sign of several currencies may be that of this one; of one that is not known here, it may.

    >>> may_be("$", "CAD"), may_be("$", "EUR"), may_be("$", "XCD"), may_be("€", "EUR"), may_be("$", "")
    (True, False, True, True, False)
    """
    if sign in SHARED:
        return code in SHARED[sign] or bool(code and not is_sign(code))
    return bool(code) and SIGNS.get(sign) == code


def code_of(text: str) -> str:
    """The code of a currency that a line states by code or by a sign of one currency; of several, none.

    >>> code_of("cad"), code_of("€"), code_of("$"), code_of("円"), code_of("XCD")
    ('CAD', 'EUR', '', 'JPY', 'XCD')
    """
    written = unicodedata.normalize("NFKC", text).strip().upper()
    return "" if written in SHARED else SIGNS.get(written, written)


def code_beside(before: str, after: str) -> str:
    """The code that stands beside a sign which may be that of its currency; empty for anything else.

    >>> code_beside("$", "CAD"), code_beside("CA$", "CAD"), code_beside("NZD $", ""), code_beside("€", "USD")
    ('CAD', 'CAD', 'NZD', '')
    """
    parts: list[str] = []
    for text in filter(None, (before, after)):
        if not is_sign(text) and text[:3] in CODES:
            parts += [text[:3], text[3:].strip()]
        elif not is_sign(text) and text[-3:] in CODES:
            parts += [text[:-3].strip(), text[-3:]]
        else:
            parts.append(text)
    codes = [part for part in parts if part in CODES]
    others = [part for part in parts if part not in CODES]
    return codes[0] if len(parts) == 2 and len(codes) == len(others) and may_be(others[0], codes[0]) else ""


def currency_of(header: str) -> str:
    """The currency that the header of a column of prices names; empty where it names none.

    >>> currency_of("Price (EUR)"), currency_of("価格(円)"), currency_of("price_usd"), currency_of("Price")
    ('EUR', 'JPY', 'USD', '')
    """
    words = re.split(r"[\s_()\[\]/:,.-]+", unicodedata.normalize("NFKC", header).upper())
    plain = (
        word for word in words if word in CODES or (word in SIGNS and not word.isascii()) or word in ("EURO", "YEN")
    )
    return next((SIGNS.get(word, word) for word in plain), "")
