"""Full-text search over titles: SQLite FTS5, by words for scripts with spaces and by trigrams for Japanese.

The index lives in memory, is built when words are first searched, and anew after a commit: a catalog's file keeps its
format, and whoever never searches by words pays nothing.
"""

import sqlite3
import threading
import weakref
from collections.abc import Iterable
from typing import Final

from osoroi.records import Product
from osoroi.words.reading import CLOTH, COLOR_AND_PATTERN, FILLERS, LATIN, folded, in_columns, runs, wanted

MOST: Final = 32
"""Words of one query that are searched."""


class TitleIndex:
    """Titles, categories, brands, and columns of look and cloth of products. Threads may share it."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._connection.close)  # whoever drops the index, after a commit too
        self._connection.execute("CREATE VIRTUAL TABLE words USING fts5(product UNINDEXED, text, tokenize='porter')")
        self._connection.execute("CREATE VIRTUAL TABLE parts USING fts5(product UNINDEXED, text, tokenize='trigram')")
        rows = (
            (each.product_id, folded(" ".join(filter(None, (each.title, each.category, each.brand, *_own(each))))))
            for each in products
        )
        for row in rows:
            self._connection.execute("INSERT INTO words VALUES (?, ?)", row)
            if not row[1].isascii():
                self._connection.execute("INSERT INTO parts VALUES (?, ?)", row)

    def search(self, text: str, most: int) -> dict[str, float]:
        """Products whose title has a word of a text, with how well it fits: the best 1, the others less, by BM25.

        >>> index = TitleIndex([Product("a", "Navy striped skirt"), Product("b", "Navy coat"), Product("c", "Bag")])
        >>> list(index.search("striped skirts in navy", 5))
        ['a', 'b']
        """
        plain = wanted(folded(text))
        latin = list(dict.fromkeys(word for word in LATIN.findall(plain) if word not in FILLERS))[:MOST]
        other = runs(plain)[:MOST]
        results: dict[str, float] = {}
        with self._lock:
            if latin:
                results |= self._matching("words", " OR ".join(_quoted(word) for word in latin), most)
            grams = list(dict.fromkeys(run[at : at + 3] for run in other for at in range(len(run) - 2)))[:MOST]
            if grams:
                for product, rank in self._matching("parts", " OR ".join(map(_quoted, grams)), most).items():
                    results[product] = max(results.get(product, 0.0), rank)
            for run in (run for run in other if len(run) < 3):
                statement = "SELECT product FROM parts WHERE instr(text, ?) LIMIT ?"
                rows = self._connection.execute(statement, (run, most)).fetchall()
                results |= {product: max(results.get(product, 0.0), 0.5) for (product,) in rows}
        return dict(sorted(results.items(), key=lambda pair: (-pair[1], pair[0]))[:most])

    def _matching(self, table: str, expression: str, most: int) -> dict[str, float]:
        statement = f"SELECT product, bm25({table}) FROM {table} WHERE {table} MATCH ? ORDER BY 2 LIMIT ?"  # noqa: S608
        rows = self._connection.execute(statement, (expression, most)).fetchall()
        best = min((rank for _, rank in rows), default=0.0)
        return {product: rank / best if best else 1.0 for product, rank in rows}


def _own(product: Product) -> list[str]:
    return in_columns(product, COLOR_AND_PATTERN + CLOTH)


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
