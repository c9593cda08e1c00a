"""Prices as shops write them: ``¥3,990``, ``39,90 €``, ``1.234,56``, ``39.90 USD``, ``3990円(税込)``.

A price is exact or none. What a comma or a point means is decided for a whole column: by cells that allow one reading
only (``1.234,56``), else by the currency (yen have no fractions, euros two digits). What stays open is a question.
Of a range and of "from 39.90" the lowest price is taken, and "sold out" is no price; both are said.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from osoroi.data.currencies import CODES, DIGITS, LARGE, SHARED, SIGNS, code_beside, code_of, is_sign, may_be

NO_PRICE = (
    "- -- --- . ? / n/a na n.a. nan none null nil tba tbd poa call ask sold_out soldout sold out_of_stock unavailable"
    " price_on_request on_request auf_anfrage preis_auf_anfrage ausverkauft nicht_verfügbar épuisé sur_demande"
    " prix_sur_demande agotado consultar a_consultar esaurito su_richiesta esgotado sob_consulta uitverkocht"
    " op_aanvraag"
    " 売り切れ 売切れ 売切 完売 品切れ 在庫なし 未定 価格未定 オープン オープン価格 オープンプライス お問い合わせ"
    " 要問合せ"
    " 要問い合わせ 応相談 なし 非公開 售罄 缺货 面议 价格面议 询价 품절 문의 가격문의"
)
"""What shops write where there is no price, in lower case, with ``_`` for spaces."""

NONE = frozenset(NO_PRICE.split())

FROM = re.compile(
    r"^(?:from|starting at|starts at|as low as|ab|à partir de|a partir de|dès|desde|da|a partire da|vanaf|最低)\b[ :]*"
    r"|\s*(?:から|より|起|부터|~)$"
)
"""Words by which a price is the lowest of several."""

RANGE = re.compile(r"\s*(?:~|\.{2,3}|…|から|至|\bbis\b|\bto\b|\bà\b|\ba\b|(?<=[\w€£$¥. ])-(?=[^\d-]{0,5}\d))\s*")
"""What stands between the two ends of a range."""

NUMBER = re.compile(r"[+-]?\d[\d.,' ]*(?:[.,]-+)?")
PLAIN = re.compile(r"-?\d+(\.\d+)?")
TAX_WORD = r"(?:税込み?|税抜き?|税別|(?:incl|excl)\.?\s*(?:vat|tax)|(?:inkl|zzgl)\.?\s*mwst\.?|\bttc\b|\bht\b)"
TAX = re.compile(rf"[(\[][^()\[\]]*{TAX_WORD}[^()\[\]]*[)\]]|{TAX_WORD}")
"""What is said of taxes; in brackets with whatever else stands there, such as the price without them."""

SPACES = dict.fromkeys(map(ord, "\u00a0\u202f\u2009\u2007\u3000\u2008"), " ") | {
    ord("’"): "'", ord("‘"): "'", ord("´"): "'", ord("`"): "'", ord("٫"): ".", ord("٬"): "'", ord("、"): ",",
    ord("−"): "-", ord("–"): "-", ord("—"): "-", ord("˙"): "'", ord("〜"): "~",
}  # fmt: skip


TWO = re.compile(r"[+-]?\d{2,3} \d{3}")
"""``129 199``: one price in thousands, or two."""

UNGROUPED = re.compile(r"[+-]?\d{4,}([.,]\d{1,2})?")


class Written(NamedTuple):
    """A price taken apart: its number as written, the sign or code of its currency, and whether others are higher."""

    number: str
    sign: str
    is_lowest: bool = False


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
    spaced: int = 0
    ungrouped: int = 0
    small: int = 0
    none: dict[str, int] = field(default_factory=dict)
    lowest: int = 0
    lowest_example: str = ""
    signs: set[str] = field(default_factory=set)

    def see(self, text: str, stated: str = "") -> None:
        """Take note of one cell; ``stated`` is the currency that its line states."""
        if says_none(text):
            self.none[text] = self.none.get(text, 0) + 1
            return
        written = taken_apart(text)
        if written is None:
            return
        if written.is_lowest:
            self.lowest += 1
            self.lowest_example = self.lowest_example or text
        if written.sign and not (written.sign in SHARED and may_be(written.sign, stated)):
            self.signs.add(written.sign)
        mark = decimal_mark(written.number)
        self.spaced += " " in written.number and not TWO.fullmatch(written.number)
        self.ungrouped += UNGROUPED.fullmatch(written.number) is not None
        self.small += abs(_size(written)) < 1000
        if mark == "?":
            self.unclear += 1
            code = self.code(written.sign, stated) or stated
            if not code or DIGITS.get(code, 2) == 3:
                self.unclear_bare = True
                self.unclear_example = self.unclear_example or text
        elif mark:
            self.points += mark == "."
            self.commas += mark == ","
            self.fractions += written.sign == "¥" and not may_be("¥", stated)

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

    def code(self, sign: str, stated: str = "") -> str:
        """The currency of a sign or code; of the whole column where the cell has none.

        Of a sign of several currencies it is the one that the line states, else that of the column, where it may be.

        >>> PriceFormat().code("$", "CAD"), PriceFormat(currency="AUD").code("$"), PriceFormat(currency="EUR").code("$")
        ('CAD', 'AUD', 'USD')
        """
        if not sign:
            return self.currency
        if sign in SHARED:
            known = next((code for code in (stated, self.currency) if may_be(sign, code)), "")
            return known or ("CNY" if sign == "¥" and self.fractions else SIGNS.get(sign, SHARED[sign][0]))
        return SIGNS.get(sign, sign if sign in CODES else "")

    def notes(self) -> list[str]:
        """What was decided, one sentence each."""
        shared = sorted(self.signs & (SHARED.keys() - SIGNS.keys()))
        shared = [sign for sign in shared if not may_be(sign, self.currency)]
        lines = [f"`{sign}` read as {self.code(sign)}" for sign in shared]
        if self.none:
            words = ", ".join(f"`{text}`" for text in list(self.none)[:5])
            lines.append(f"{words} read as no price, in {sum(self.none.values()):,} lines")
        if self.lowest:
            lines.append(f"`{self.lowest_example}` read as the lowest price, and so in {self.lowest:,} lines")
        if self.decided() == ",":
            lines.append("a comma is read as the decimal sign")
        elif self.unclear and not self.undecided():
            lines.append(
                "commas are read as thousands" if self.decided() == "." else "three digits after a sign are thousands"
            )
        return lines

    def amount(self, text: str, currency: str = "") -> tuple[float | None, str]:
        """The number and the currency of a cell; None where it says that there is no price. Raises ValueError with the
        reason.

        >>> column = PriceFormat()
        >>> column.see("1.234,56"), column.amount("39,90 €"), column.amount("1.299")
        (None, (39.9, 'EUR'), (1299.0, ''))
        >>> PriceFormat().amount("¥3,990"), PriceFormat().amount("39.90 USD"), PriceFormat().amount("Rs. 1,23,456.50")
        ((3990.0, 'JPY'), (39.9, 'USD'), (123456.5, 'INR'))
        """
        if says_none(text):
            return None, currency
        written = taken_apart(text)
        if written is None:
            raise ValueError("is no number")
        currency = code_of(currency)
        code = self.code(written.sign, currency) or currency
        if written.sign and not self.code(written.sign):
            raise ValueError(f"has the currency {written.sign!r}, which is not known")
        number, mark = written.number, decimal_mark(written.number)
        if TWO.fullmatch(number) and not self.groups_by_spaces(number, code):
            raise ValueError("is one price of thousands, or two prices")
        if mark == "?":
            sign = "," if "," in number else "."
            mark = self._unclear(sign, code)
        digits = plain_digits(number, mark)
        return float(Decimal(digits)), code

    def groups_by_spaces(self, number: str, code: str) -> bool:
        """Whether the space in ``129 199`` parts thousands: other cells have to show it, or the currency."""
        if self.ungrouped:
            return False
        if self.spaced or code in LARGE or DIGITS.get(code) == 0:
            return True
        return not self.small and len(number.lstrip("+-").partition(" ")[0]) < 3

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


def says_none(text: str) -> bool:
    """Whether a cell says that there is no price.

    >>> says_none("売り切れ"), says_none(" Sold out "), says_none("soon")
    (True, True, False)
    """
    return "_".join(unicodedata.normalize("NFKC", text.translate(SPACES)).casefold().split()) in NONE


def taken_apart(text: str) -> Written | None:
    """A price as a number and a sign or code of its currency; None where it is neither. Of a range, its lower end.

    >>> taken_apart("３，９９０円（税込）"), taken_apart("soon"), taken_apart("CHF 1’234.50")
    (Written(number='3,990', sign='円', is_lowest=False), None, Written(number="1'234.50", sign='CHF', is_lowest=False))
    >>> taken_apart("ab 39,90 €"), taken_apart("$39.90 – 49.90")
    (Written(number='39,90', sign='€', is_lowest=True), Written(number='39.90', sign='$', is_lowest=True))
    """
    plain = unicodedata.normalize("NFKC", text.translate(SPACES)).translate(SPACES).strip()
    if not plain.isascii():
        plain = "".join(str(unicodedata.decimal(letter, letter)) for letter in plain)
    if PLAIN.fullmatch(plain):
        return Written(plain, "")
    plain = TAX.sub("", plain.lower()).strip()
    from_ = FROM.sub("", plain).strip()
    one = _single(from_)
    if one is not None:
        return one._replace(is_lowest=from_ != plain)
    ends = [_single(part) for part in RANGE.split(plain)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    low, high = sorted((ends[0], ends[1]), key=_size)
    if low.sign and high.sign and low.sign != high.sign:
        return None
    return Written(low.number, low.sign or high.sign, is_lowest=True)


def _size(written: Written) -> Decimal:
    """A number for comparing the ends of a range, which are written alike."""
    return Decimal(plain_digits(written.number, decimal_mark(written.number).strip("?")))


def lowest(values: Sequence[object]) -> int:
    """Which of several prices is the lowest; the first one that cannot be read, so that it is refused where it counts.

    Of prices in several currencies it is the first.

    >>> lowest(["39,90 €", "sold out", "29,90 €"]), lowest([None, 9.0, "soon"]), lowest(["$9", "8 €"])
    (2, 2, 0)
    """
    found: list[tuple[Decimal, int]] = []
    signs: set[str] = set()
    for place, value in enumerate(values):
        text = f"{value:f}" if isinstance(value, float) else "" if value is None else str(value)
        if not text or says_none(text):
            continue
        written = taken_apart(text)
        if written is None:
            return place
        signs |= {written.sign} - {""}
        found.append((_size(written), place))
    if len(signs) > 1:
        return found[0][1]
    return min(found)[1] if found else 0


def _single(plain: str) -> Written | None:
    """One price in lower case."""
    found = NUMBER.search(plain)
    if found is None:
        return None
    number = found[0].rstrip(" .,'") if not found[0].endswith("-") else found[0]
    number = re.sub(r"[.,]-+$", "", number).strip()
    before, after = plain[: found.start()].strip(), plain[found.end() :].strip(" -")
    if before == "-":
        number, before = f"-{number}", ""
    if before.startswith("-"):
        number, before = f"-{number}", before[1:].strip()
    sign = (before or after).upper()
    if (before and after) or (sign and not is_sign(sign)):
        sign = code_beside(before.upper(), after.upper())
        if not sign:
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
