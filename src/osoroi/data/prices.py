"""Prices as shops write them: ``¥3,990``, ``39,90 €``, ``1.234,56``, ``39.90 USD``, ``3990円(税込)``.

A price is exact or none. What a comma or a point means is decided for a whole column: by cells that allow one reading
only (``1.234,56``), else by the currency (yen have no fractions, euros two digits). What stays open is a question.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

SIGNS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD", "NT$": "TWD",
    "S$": "SGD", "R$": "BRL", "MX$": "MXN", "€": "EUR", "£": "GBP", "₩": "KRW", "₹": "INR", "RS": "INR", "RS.": "INR",
    "₽": "RUB", "РУБ": "RUB", "РУБ.": "RUB", "₺": "TRY", "TL": "TRY", "฿": "THB", "₫": "VND", "Đ": "VND", "₪": "ILS",
    "₱": "PHP", "RP": "IDR", "RM": "MYR", "FT": "HUF", "ZŁ": "PLN", "KČ": "CZK", "ЛВ": "BGN", "ЛВ.": "BGN",
    "LEI": "RON", "₴": "UAH", "円": "JPY", "YEN": "JPY", "元": "CNY", "RMB": "CNY", "FR.": "CHF", "SFR.": "CHF",
    "EURO": "EUR", "EUROS": "EUR", "원": "KRW", "₸": "KZT", "₦": "NGN",
}  # fmt: skip
"""Sign of a currency, in capitals -> its code. ``$``, ``¥`` and ``kr`` are those of several."""

SHARED = {"$": "USD", "¥": "JPY", "\\": "JPY", "KR": "SEK", "KR.": "DKK"}
"""Sign of several currencies -> the one it is read as, said aloud. CP932 and EUC-JP write yen as the byte of `\\`."""

CODES = frozenset(
    [
        "AED",
        "ARS",
        "AUD",
        "BDT",
        "BGN",
        "BHD",
        "BRL",
        "CAD",
        "CHF",
        "CLP",
        "CNY",
        "COP",
        "CZK",
        "DKK",
        "DZD",
        "EGP",
        "EUR",
        "GBP",
        "GEL",
        "GHS",
        "HKD",
        "HRK",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "IQD",
        "IRR",
        "ISK",
        "JOD",
        "JPY",
        "KES",
        "KRW",
        "KWD",
        "KZT",
        "LBP",
        "LKR",
        "LYD",
        "MAD",
        "MXN",
        "MYR",
        "NGN",
        "NOK",
        "NZD",
        "OMR",
        "PEN",
        "PHP",
        "PKR",
        "PLN",
        "PYG",
        "QAR",
        "RON",
        "RSD",
        "RUB",
        "RWF",
        "SAR",
        "SEK",
        "SGD",
        "THB",
        "TND",
        "TRY",
        "TWD",
        "TZS",
        "UAH",
        "UGX",
        "USD",
        "UYU",
        "UZS",
        "VND",
        "XAF",
        "XOF",
        "ZAR",
    ]
)
DIGITS = {
    **dict.fromkeys(("JPY", "KRW", "VND", "CLP", "ISK", "PYG", "RWF", "UGX", "XAF", "XOF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Digits of a currency's fraction, where they are not two."""

NUMBER = re.compile(r"[+-]?\d[\d.,' ]*(?:[.,]-+)?")
PLAIN = re.compile(r"-?\d+(\.\d+)?")
TAX = re.compile(
    r"[(\[]?\s*(税込み?|税抜き?|税別|incl\.?\s*(vat|tax)|excl\.?\s*(vat|tax)|inkl\.?\s*mwst\.?|ttc|ht)\s*[)\]]?"
)
SPACES = dict.fromkeys(map(ord, "\u00a0\u202f\u2009\u2007\u3000\u2008"), " ") | {
    ord("’"): "'", ord("‘"): "'", ord("´"): "'", ord("`"): "'", ord("٫"): ".", ord("٬"): "'", ord("、"): ",",
    ord("−"): "-", ord("–"): "-", ord("—"): "-", ord("˙"): "'",
}  # fmt: skip


class Written(NamedTuple):
    """A price taken apart: its number as written, and the sign or code of its currency."""

    number: str
    sign: str


@dataclass
class PriceFormat:
    """How the prices of a column are read: what stands before the fraction, and what ``$`` or ``¥`` means.

    ``decimal`` is ``.`` or ``,``, or empty while no cell has said. Cells that could be read two ways are counted with
    the first of them.
    """

    decimal: str = ""
    currency: str = ""
    points: int = 0
    commas: int = 0
    fractions: int = 0
    unclear: int = 0
    unclear_example: str = ""
    unclear_bare: bool = False
    signs: set[str] = field(default_factory=set)

    def see(self, text: str) -> None:
        """Take note of one cell."""
        written = taken_apart(text)
        if written is None:
            return
        if written.sign:
            self.signs.add(written.sign)
        mark = decimal_mark(written.number)
        if mark == "?":
            self.unclear += 1
            code = self.code(written.sign)
            if not code or DIGITS.get(code, 2) == 3:
                self.unclear_bare = True
                self.unclear_example = self.unclear_example or text
        elif mark:
            self.points += mark == "."
            self.commas += mark == ","
            self.fractions += not written.number.endswith("-")

    def decided(self) -> str:
        """The sign before a fraction; empty where both are used or none is."""
        if self.decimal:
            return self.decimal
        if bool(self.points) != bool(self.commas):
            return "." if self.points else ","
        return ""

    def undecided(self) -> str:
        """What nobody can know, or nothing."""
        if not self.unclear_bare or self.decided():
            return ""
        return f"`{self.unclear_example}` is thousands or a fraction of three digits"

    def code(self, sign: str) -> str:
        """The currency of a sign or code; of the whole column where the cell has none."""
        if not sign:
            return self.currency
        if sign in SHARED:
            if sign == "¥" and (self.fractions or self.currency == "CNY"):
                return "CNY"
            return self.currency or SHARED[sign]
        return SIGNS.get(sign, sign if sign in CODES else "")

    def notes(self) -> list[str]:
        """What was decided, one sentence each."""
        shared = sorted(sign for sign in self.signs if sign in SHARED and not self.currency)
        lines = [f"`{sign}` read as {self.code(sign)}" for sign in shared]
        if self.decided() == ",":
            lines.append("a comma is read as the decimal sign")
        elif self.unclear:
            lines.append(
                "commas are read as thousands" if self.decided() == "." else "three digits after a sign are thousands"
            )
        return lines

    def amount(self, text: str, currency: str = "") -> tuple[float, str]:
        """The number and the currency of a cell. Raises ValueError with the reason.

        >>> column = PriceFormat()
        >>> column.see("1.234,56"), column.amount("39,90 €"), column.amount("1.299")
        (None, (39.9, 'EUR'), (1299.0, ''))
        >>> PriceFormat().amount("¥3,990"), PriceFormat().amount("39.90 USD"), PriceFormat().amount("Rs. 1,23,456.50")
        ((3990.0, 'JPY'), (39.9, 'USD'), (123456.5, 'INR'))
        """
        written = taken_apart(text)
        if written is None:
            raise ValueError("is no number")
        code = self.code(written.sign) or currency
        if written.sign and not self.code(written.sign):
            raise ValueError(f"has the currency {written.sign!r}, which is not known")
        number, mark = written.number, decimal_mark(written.number)
        if mark == "?":
            sign = "," if "," in number else "."
            mark = self._unclear(sign, code)
        digits = plain_digits(number, mark)
        return float(Decimal(digits)), code

    def _unclear(self, sign: str, code: str) -> str:
        """The decimal sign of ``1,234``: where it is the column's own, it may be a slip."""
        decided = self.decided()
        if DIGITS.get(code, 2 if code else 3) < 3:
            if decided == sign and DIGITS.get(code, 2) == 2:
                raise ValueError(f"is thousands or a fraction: elsewhere {sign!r} stands before fractions")
            return ""
        if decided:
            if decided == sign:
                raise ValueError(
                    f"is thousands or a fraction of three digits; elsewhere {sign!r} stands before fractions"
                )
            return ""
        raise ValueError("is thousands or a fraction of three digits")


def taken_apart(text: str) -> Written | None:
    """A price as a number and a sign or code of its currency; None where it is neither.

    >>> taken_apart("３，９９０円（税込）"), taken_apart("from 3"), taken_apart("CHF 1’234.50")
    (Written(number='3,990', sign='円'), None, Written(number="1'234.50", sign='CHF'))
    """
    plain = unicodedata.normalize("NFKC", text.translate(SPACES)).translate(SPACES).strip()
    if not plain.isascii():
        plain = "".join(str(unicodedata.decimal(letter, letter)) for letter in plain)
    if PLAIN.fullmatch(plain):
        return Written(plain, "")
    plain = TAX.sub("", plain.lower()).strip()
    found = NUMBER.search(plain)
    if found is None:
        return None
    number = found[0].rstrip(" .,'") if not found[0].endswith("-") else found[0]
    number = re.sub(r"[.,]-+$", "", number).strip()
    before, after = plain[: found.start()].strip(), plain[found.end() :].strip(" -~")
    if before == "-":
        number, before = f"-{number}", ""
    if before.startswith("-"):
        number, before = f"-{number}", before[1:].strip()
    sign = (before or after).upper()
    if before and after:
        if before.upper() in SHARED and after.upper() in CODES:
            sign = after.upper()
        else:
            return None
    if sign and sign not in SIGNS and sign not in SHARED and sign not in CODES:
        return None
    return Written(number, sign) if grouped(number) else None


GROUPED = (
    re.compile(r"[+-]?\d+([.,]\d+)?"),
    re.compile(r"[+-]?\d{1,3}(?P<sign>[.,' ])\d{3}((?P=sign)\d{3})*(?:(?!(?P=sign))[.,]\d+)?"),
    re.compile(r"[+-]?\d{1,2}(,\d{2})+,\d{3}(\.\d+)?"),
)
"""Numbers without groups, in groups of three, and in the groups of India."""


def grouped(number: str) -> bool:
    """Whether digits stand in groups as numbers do."""
    return any(form.fullmatch(number) for form in GROUPED)


def decimal_mark(number: str) -> str:
    """The sign before the fraction of a number; empty where it has none, ``?`` where it may or may not be one.

    >>> [decimal_mark(number) for number in ("1.234,56", "1,234", "1,234,567", "39,9", "1234.567", "0.125", "12")]
    [',', '?', '', ',', '.', '.', '']
    """
    marks = [letter for letter in number if letter in ".,"]
    if not marks or (len(marks) > 1 and len(set(marks)) == 1):
        return ""
    last = marks[-1]
    before, _, after = number.rpartition(last)
    if len(marks) > 1 or "'" in before or " " in before:
        return last
    whole = before.lstrip("+-")
    if len(after) != 3 or len(whole) > 3 or whole == "0":
        return last
    return "?"


def plain_digits(number: str, mark: str) -> str:
    """A number as a program writes it.

    >>> plain_digits("1.234,50", ","), plain_digits("1 234", "")
    ('1234.50', '1234')
    """
    whole, found, fraction = number.rpartition(mark) if mark else (number, "", "")
    digits = re.sub(r"[.,' ]", "", whole)
    return f"{digits}.{fraction}" if found else digits
