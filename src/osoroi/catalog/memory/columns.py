"""Columns as arrays, so that a new filter takes milliseconds. Derived, never the database.

A column that holds too many different texts to be worth it (titles, links) has no array: conditions on it go to the
database.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from osoroi.catalog.filters import (
    ORDER,
    PREFIX,
    Among,
    Compare,
    Condition,
    Every,
    Filter,
    Known,
    Missing,
    Not,
    Some,
    fold,
    holds,
    is_exact,
    value_type,
)
from osoroi.catalog.store.reader import ReadTransaction
from osoroi.catalog.store.rows import attributes_of, facts
from osoroi.catalog.store.settings import WHOLE, Shard
from osoroi.records import Product, Value

COLUMNAR = ("category", "brand", "price", "currency", "design_id")
"""Columns of every product that have an array; each of the others tells nearly every product from all others."""

ATTRIBUTES = 100
"""Attributes that have an array at most, by name; an array takes four or eight bytes a product."""

ConditionQuery = Callable[[Condition], Int64[np.ndarray, "m"]]
"""Keys of the products that a condition holds for, by the database."""


class Column:
    """The values of one column by the products' keys: numbers, and the places of texts and flags among ``words``."""

    def __init__(self, numbers: Float64[np.ndarray, "p"], places: Int32[np.ndarray, "w"], words: list[Value]) -> None:
        self.numbers = numbers  # nan where the value is none; empty where none is a number
        self.places = places  # 0 where the value is neither; empty where all are
        self.words = words
        self._place_of = {word: place for place, word in enumerate(words)}
        self._by_value: dict[bool, tuple[int, dict[tuple[type, Known], list[int]]]] = {}

    @classmethod
    def empty(cls) -> "Column":
        return cls(np.empty(0), np.empty(0, np.int32), [None])

    def put(self, keys: Int64[np.ndarray, "n"], values: Iterable[Value], size: int) -> None:
        """Give products these values; there are keys up to ``size``."""
        listed = list(values)
        numbers = np.array([one if isinstance(one, float) else np.nan for one in listed], np.float64)
        places = np.array([0 if isinstance(one, float) else self._place(one) for one in listed], np.int32)
        if len(self.numbers) or not np.isnan(numbers).all():
            self.numbers = grown(self.numbers, size, np.nan)
            self.numbers[keys] = numbers
        if len(self.places) or places.any():
            self.places = grown(self.places, size, 0)
            self.places[keys] = places

    def _place(self, word: Value) -> int:
        place = self._place_of.setdefault(word, len(self.words))
        if place == len(self.words):
            self.words.append(word)
        return place

    def mask(self, condition: Condition, size: int) -> Bool[np.ndarray, "p"]:
        """Whether a condition holds for the value of each key up to ``size``."""
        table = self._words_holding(condition)
        matches = np.full(size, table[0])
        places, numbers = self.places[:size], self.numbers[:size]
        matches[: len(places)] = table[places]
        here = matches[: len(numbers)]
        match condition:
            case Missing():
                here &= np.isnan(numbers)
            case Compare() if value_type(condition.value) == "number":
                here |= ORDER[condition.operator](numbers, condition.value)
            case Among():
                here |= np.isin(numbers, [one for one in condition.values if value_type(one) == "number"])
        return matches

    def _words_holding(self, condition: Condition) -> Bool[np.ndarray, "w"]:
        """Whether a condition holds for each word; equal words are looked up, since there may be many."""
        match condition:
            case Compare(operator="=" | "=="):
                wanted: tuple[Known, ...] = (condition.value,)
            case Among():
                wanted = condition.values
            case _:
                return np.array([holds(condition, word) for word in self.words])
        exact = is_exact(condition)
        places_of = self._places_by_value(exact=exact)
        table = np.zeros(len(self.words), bool)
        for value in wanted:
            compared = fold(value) if isinstance(value, str) and not exact else value
            table[places_of.get((type(value), compared), [])] = True
        return table

    def _places_by_value(self, *, exact: bool) -> dict[tuple[type, Known], list[int]]:
        """Where values of a type stand among the words, alone or in a list. Words are only added."""
        count, places_of = self._by_value.get(exact, (0, {}))
        if count < len(self.words):
            places_of = {value: [*places] for value, places in places_of.items()}  # threads may read the old ones
            for place, word in enumerate(self.words[count:], start=count):
                for value in word if isinstance(word, tuple) else () if word is None else (word,):
                    compared = fold(value) if isinstance(value, str) and not exact else value
                    places_of.setdefault((type(value), compared), []).append(place)
            self._by_value[exact] = (len(self.words), places_of)
        return places_of

    def values(self, keys: Int64[np.ndarray, "n"]) -> list[Value]:
        """The values of these products."""
        size = int(keys.max(initial=0)) + 1
        numbers, places = grown(self.numbers, size, np.nan)[keys], grown(self.places, size, 0)[keys]
        words = [self.words[place] for place in places.tolist()]
        both = zip(np.isnan(numbers).tolist(), numbers.tolist(), words, strict=True)
        return [word if none else number for none, number, word in both]


class Columns:
    """The columns that have arrays; ``wide`` names the attributes that have none."""

    def __init__(self, size: int, arrays: dict[str, Column], wide: set[str]) -> None:
        self.size = size
        self.arrays = arrays
        self.wide = wide

    @classmethod
    def read(cls, transaction: ReadTransaction, *, words: int, shard: Shard = WHOLE) -> "Columns":
        """From the database: a second for a million products and column, so it is saved with the snapshot.

        Only the products of ``shard`` have values. An attribute with more than ``words`` different texts has no array.
        """
        size = int(transaction.one("SELECT coalesce(max(product), 0) FROM products")[0]) + 1
        columns = cls(size, {name: Column.empty() for name in COLUMNAR}, set())
        inside = shard.condition("product")
        statement = f"SELECT product, {', '.join(COLUMNAR)} FROM products WHERE {inside}"  # noqa: S608 (names of ours)
        for rows in transaction.batches(statement):
            keys, *by_column = zip(*rows, strict=True)
            for name, values in zip(COLUMNAR, by_column, strict=True):
                columns.arrays[name].put(np.array(keys, np.int64), values, size)
        named = transaction.all("SELECT name_id, name, kinds FROM names ORDER BY name")
        for at, (name_id, name, kinds) in enumerate(named):
            if at < ATTRIBUTES and len(transaction.fact_texts(name, words + 1)) <= words:
                is_list = any(kind_.endswith("s") for kind_ in kinds.split())
                of = _lists(transaction, name_id, name, shard) if is_list else transaction.fact_values(name_id, shard)
                columns.arrays[PREFIX + name] = _attribute(of, size)
            else:
                columns.wide.add(PREFIX + name)
        return columns

    def follow(self, products: Mapping[int, Product]) -> None:
        """Take over the present state of products."""
        self.size = max(self.size, max(products, default=0) + 1)
        keys = np.fromiter(products, np.int64, len(products))
        facts_of = {key: {PREFIX + name: value for name, value in facts(one).items()} for key, one in products.items()}
        for name in {name for values in facts_of.values() for name in values} - self.wide:
            self.arrays.setdefault(name, Column.empty())
        for name, column in self.arrays.items():
            own = name in COLUMNAR
            values = [getattr(one, name) if own else facts_of[key].get(name) for key, one in products.items()]
            column.put(keys, values, self.size)

    def matching(self, filter_: Filter, query: ConditionQuery) -> Bool[np.ndarray, "p"]:
        """Which products match, by key; keys that no product has say nothing. ``query`` is for what has no array."""
        match filter_:
            case Not():
                return ~self.matching(filter_.of, query)
            case Every():
                return np.logical_and.reduce(
                    [np.ones(self.size, bool), *(self.matching(one, query) for one in filter_.of)]
                )
            case Some():
                return np.logical_or.reduce(
                    [np.zeros(self.size, bool), *(self.matching(one, query) for one in filter_.of)]
                )
        name = filter_.column
        if name in self.arrays or (name.startswith(PREFIX) and name not in self.wide):
            return self.arrays.get(name, Column.empty()).mask(filter_, self.size)
        matches = np.zeros(self.size, bool)
        matches[query(filter_)] = True
        return matches

    def differs(self, other: "Columns", keys: Int64[np.ndarray, "n"]) -> str | None:
        """The name of a column that tells of these products what another does not."""
        for name in sorted({*self.arrays, *other.arrays}):
            one, another = (columns.arrays.get(name, Column.empty()) for columns in (self, other))
            if name not in self.wide | other.wide and one.values(keys) != another.values(keys):
                return name
        return None

    def save(self, path: Path) -> None:
        """Write all of it to a file."""
        names = list(self.arrays)
        numbers = {f"numbers{place}": self.arrays[name].numbers for place, name in enumerate(names)}
        places = {f"places{place}": self.arrays[name].places for place, name in enumerate(names)}
        words = [(name, self.arrays[name].words) for name in names]
        about = json.dumps({"size": self.size, "wide": sorted(self.wide), "words": words}).encode()
        arrays: dict[str, Any] = {"about": np.frombuffer(about, np.uint8), **numbers, **places}
        with path.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def open(cls, path: Path) -> "Columns":
        """Read a file whose checksum has been verified."""
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            arrays = {
                name: Column(file[f"numbers{place}"], file[f"places{place}"], [_word(word) for word in words])
                for place, (name, words) in enumerate(about["words"])
            }
        return cls(about["size"], arrays, set(about["wide"]))


def _word(word: Any) -> Any:
    """A word from JSON; a list is a tuple."""
    return tuple(word) if isinstance(word, list) else word


def _attribute(batches: Iterable[Sequence[tuple[int, Value]]], size: int) -> Column:
    column = Column.empty()
    for rows in batches:
        keys, values = zip(*rows, strict=True)
        column.put(np.array(keys, np.int64), values, size)
    return column


def _lists(transaction: ReadTransaction, name_id: int, name: str, shard: Shard) -> Iterator[list[tuple[int, Value]]]:
    """Products and their values of an attribute. Some are lists, in their order, which the facts do not have."""
    having = (
        "SELECT product, attributes FROM products WHERE product IN (SELECT product FROM facts WHERE name_id = ?) AND"
    )
    for rows in transaction.batches(" ".join([having, shard.condition("product")]), name_id):
        yield [(key, attributes_of(text).get(name)) for key, text in rows]


def grown(array: np.ndarray, size: int, fill: int | float) -> np.ndarray:
    """The array with room for ``size`` keys, half as many more than it had at least."""
    if size <= len(array):
        return array
    grown = np.full(max(size, len(array) + len(array) // 2), fill, array.dtype)
    grown[: len(array)] = array
    return grown
