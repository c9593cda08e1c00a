"""``osoroi search``: find products by a photo, or by a product of the catalog."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from osoroi.catalog.address import Place, Search
from osoroi.catalog.opening import encoder_of, open_catalog
from osoroi.cli import options, text
from osoroi.image.swatch import is_color
from osoroi.records import Box, Crop, Hit, Kinds
from osoroi.search import Searcher, is_unlikely, outfit_response, response
from osoroi.text import number
from osoroi.wishes import require_fitting

if TYPE_CHECKING:
    from osoroi.catalog.stored import StoredCatalog
    from osoroi.garments import Garment

ALL = "all"
"""Search by every garment of the photo."""

OTHER_KINDS = "-- other kinds --"
"""Stands where the products of the query's kind end."""

NOTHING = "nothing in the catalog matches"

KIND_KNOWN = "--kind goes with a PHOTO; --garment and --like know the kind"


@click.command()
@click.argument("catalog", type=options.CATALOG)
@click.argument("photo", type=options.PathParameter(), required=False)
@click.option("--like", help="Search by this product of the catalog instead of a photo; it is left out itself.")
@options.box
@click.option(
    "--garment",
    help="Search by a garment that is found in PHOTO: its number, its kind, upper, lower or feet; by each with 'all'.",
)
@click.option("--kind", help="What the garment is: top, skirt, shoes, … Without it, its place and picture tell.")
@options.k
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many of the best: the next page.")
@options.where
@click.option("--sort", help="List the products by this column instead of their score: price, -price, title, …")
@options.detail
@click.option(
    "--detail-from",
    metavar="PHOTO|COLOR",
    help="Take colour and pattern from this photo, or this colour: '#b03a2e', navy, 紺.",
)
@click.option("--detail-box", type=options.BoxType(), help="The garment in the photo of --detail-from.")
@click.option(
    "--text", "words", metavar="WORDS", help="Search by words, alone or with PHOTO, such as 'red floral dress'."
)
@click.option("--grid", type=options.Target(), help="Write the query and the results as one picture (PNG).")
@options.search
@options.encoder
@options.as_json
def command(
    catalog: Place,
    photo: Path | None,
    like: str | None,
    words: str | None,
    box: Box | None,
    garment: str | None,
    kind: str | None,
    k: int,
    offset: int,
    where: str | None,
    sort: str | None,
    detail: float | None,
    detail_from: str | None,
    detail_box: Box | None,
    grid: Path | None,
    search: Search | None,
    encoder: Path | None,
    as_json: bool,
) -> None:
    """Find the products of CATALOG that look like the garment in PHOTO, or like one of its own.

    \b
    osoroi search shop snap.jpg --box 40,12,300,420 --where 'price <= 5000'
    osoroi search shop snap.jpg --garment lower
    osoroi search shop snap.jpg --garment all --detail-from navy
    osoroi search shop --like A-1042 --detail 1
    osoroi search shop --text 'red floral dress'
    osoroi search shop snap.jpg --garment lower --text navy
    """
    if words is not None:
        _demand_none(sort, grid)
        _demand_found(photo, box, garment, kind)
        by_words(
            options.searched_by(catalog, search), words, photo, garment, encoder, as_json=as_json, like=like, box=box,
            kind=kind, k=k, offset=offset, where=where, detail=detail, detail_from=detail_from, detail_box=detail_box,
        )  # fmt: skip
        return
    _demand_fitting(photo, like, box, garment, kind, detail_from, detail_box)
    chosen = chosen_in(photo, garment) if photo is not None and garment is not None else []
    options_of: dict[str, Any] = {"k": k, "offset": offset, "where": where, "detail": detail}
    with open_catalog(options.searched_by(catalog, search), readonly=True) as products:
        output = Listing(products, where, sort, detail, offset, grid, as_json)
        searcher = Searcher(encoder_of(products, encoder), products)

        def search_for(box: Box | None, kind: Kinds | None) -> list[Hit]:
            assert photo is not None
            return searcher.search(
                photo, box=box, kind=kind, **options_of, detail_from=detail_from, detail_box=detail_box
            )

        start = time.perf_counter()
        if photo is not None and garment == ALL:
            lists = [(each, search_for(each.box, each.known_kinds)) for each in chosen]
            output.write_each(searcher, photo, lists, time.perf_counter() - start)
            return
        if chosen:
            box = chosen[0].box
            hits = search_for(box, chosen[0].known_kinds)
        else:
            hits = searcher.similar(str(like), **options_of) if photo is None else search_for(box, kind)
        took_s = time.perf_counter() - start
        if not as_json:
            note_others(photo, box or kind)
        query = products.crops(str(like))[0] if photo is None else Crop("query", "", "street", photo, box)
        output.write(searcher, query, hits, chosen, took_s)


class Listing(NamedTuple):
    """How the hits are sorted, drawn and printed; ``where``, ``detail`` and ``offset`` are those of the search."""

    products: "StoredCatalog"
    where: str | None
    sort: str | None
    detail: float | None
    offset: int
    grid: Path | None
    as_json: bool

    def write_each(
        self, searcher: Searcher, photo: Path, lists: "list[tuple[Garment, list[Hit]]]", took_s: float
    ) -> None:
        """Print and draw a list of hits for each garment of a photo."""
        lists = [(each, self._sorted(hits)) for each, hits in lists]
        suggest(self.products, self.where, *(hits for _, hits in lists))
        if self.grid:
            draw_each(searcher, photo, lists, self.grid)
        if self.as_json:
            text.show_json(answer_each(lists, self._facts(searcher, took_s)))
        else:
            show_each(lists, self.offset, left=beyond(self.offset, self.products.count(where=self.where)))

    def write(
        self, searcher: Searcher, query: Crop, hits: list[Hit], chosen: "Sequence[Garment]", took_s: float
    ) -> None:
        """Print and draw the hits of one query; ``chosen`` is its garment, where it was found in the photo."""
        hits = self._sorted(hits)
        total = self.products.count(where=self.where)
        suggest(self.products, self.where, hits)
        if self.grid:
            draw(self.products, query, hits, self.grid)
        if self.as_json:
            answer = response(hits, **self._facts(searcher, took_s), garment=fields_of(chosen))
            text.show_json(answer | {"total": total, "offset": self.offset})
            return
        show_hits(hits, self.offset, left=beyond(self.offset, total))
        if hits and (self.where or self.offset):
            text.warn(f"{self.offset + 1}–{self.offset + len(hits)} of {total:,} products")

    def _facts(self, searcher: Searcher, took_s: float) -> dict[str, Any]:
        """What an answer says of its search."""
        encoder = searcher.encoder.fingerprint
        return {"encoder": encoder, "detail": self.detail, "took_s": took_s, "offset": self.offset}

    def _sorted(self, hits: list[Hit]) -> list[Hit]:
        return sorted_by(hits, self.sort) if self.sort else hits


def suggest(products: "StoredCatalog", where: str | None, *lists: Sequence[Hit]) -> None:
    """Where a filter left no hits in any list, say which of its values no product has."""
    if not where or any(lists):
        return
    from osoroi.catalog.store.suggest import suggestions

    with products.view() as transaction:
        for suggestion in suggestions(transaction, where):
            text.warn(suggestion)


def sorted_by(hits: Sequence[Hit], column: str) -> list[Hit]:
    """The hits by a column of their product, from its least value or, with a minus, from its greatest; those without a
    value last. Kinds mix in that order, so that no hit says that other kinds begin at it."""
    hits = [replace(hit, other_kind=False) for hit in hits]
    name, down = column.removeprefix("-"), column.startswith("-")
    values = [(hit, getattr(hit.product, name, hit.product.attributes.get(name))) for hit in hits]
    if hits and all(value is None for _, value in values):
        raise click.UsageError(f"--sort {name}: no product that was found has it")
    numbers = all(isinstance(value, float) for _, value in values if value is not None)
    filled = [(hit, value if numbers else str(value)) for hit, value in values if value is not None]
    currencies = sorted({hit.product.currency or "none" for hit, _ in filled}) if name == "price" else []
    if len(currencies) > 1:
        text.warn(f"prices are in several currencies ({', '.join(currencies)}) and sorted by their numbers alone")
    ordered = [hit for hit, _ in sorted(filled, key=lambda pair: pair[1], reverse=down)]
    return ordered + [hit for hit, value in values if value is None]


def _demand_fitting(
    photo: Path | None,
    like: str | None,
    box: Box | None,
    garment: str | None,
    kind: str | None,
    detail_from: str | None,
    detail_box: Box | None,
) -> None:
    """Raise UsageError for options that mean nothing together."""
    if photo is None and like is None:
        raise click.UsageError("give a PHOTO, --text with words, or --like with a product of the catalog")
    if photo is not None and like is not None:
        raise click.UsageError("give a PHOTO, or --like with a product of the catalog, and not both")
    if like is not None and box is not None:
        raise click.UsageError("--box is a garment in a PHOTO; --like searches by the product's own photo")
    if detail_from is not None and photo is None:
        raise click.UsageError("--detail-from goes with a PHOTO; leave --like away")
    if detail_box is not None and (detail_from is None or is_color(detail_from)):
        raise click.UsageError("--detail-box is a garment in the photo of --detail-from")
    _demand_found(photo, box, garment, kind)
    if kind is not None and photo is None:
        raise click.UsageError(KIND_KNOWN)


def _demand_found(photo: Path | None, box: Box | None, garment: str | None, kind: str | None) -> None:
    """Raise UsageError where a garment is not one to be found in a photo, or its kind is given too."""
    if garment is not None and (photo is None or box is not None):
        raise click.UsageError("--garment is one that is found in a PHOTO; leave --like and --box away")
    if kind is not None and garment is not None:
        raise click.UsageError(KIND_KNOWN)


def beyond(offset: int, total: int) -> str:
    """What to say where there are no hits.

    >>> beyond(1000, 120), beyond(0, 0)
    ('120 products match, and none is left after --offset 1000', 'nothing in the catalog matches')
    """
    if not offset or not total:
        return NOTHING
    match = "1 product matches" if total == 1 else f"{total:,} products match"
    return f"{match}, and none is left after --offset {offset}"


def show_hits(hits: Sequence[Hit], offset: int = 0, *, left: str = NOTHING, of: str = "") -> None:
    """Print hits as a table, or what is left to say without any; a note on stderr says where the product itself is
    probably not among them. ``of`` names the garment, where a search has several."""
    text.show(table(hits, offset) if hits else left)
    if is_unlikely(hits):
        text.warn(
            f"{of and f'{of}: '}the product itself is probably not in this catalog ({hits[0].in_catalog:.0%}); "
            "these are the nearest"
        )


def note_others(photo: Path | None, chosen: Box | str | None) -> None:
    """Say on stderr which garments are in a photo that was searched with as a whole, where there are several."""
    if photo is None or chosen is not None:
        return
    from osoroi.garments.find import find

    found = find(photo)
    if len(found) > 1:
        kinds = ", ".join(each.kind for each in found)
        text.warn(
            f"searched by the whole photo; {len(found)} garments are in it ({kinds}): --garment all searches for each"
        )


def _demand_none(*others: object) -> None:
    """Raise UsageError for options that a search by words would ignore."""
    if any(other is not None for other in others):
        raise click.UsageError("--text goes without --sort and --grid")


def by_words(
    catalog: Place, words: str, photo: Path | None, garment: str | None, encoder: Path | None, *, as_json: bool,
    **wishes: Any,
) -> None:  # fmt: skip
    """Print what was understood of the words, and the products for them, a list for each garment that is meant;
    ``wishes`` are those of the search."""
    from osoroi.words.search import WordSearch

    given = {name: wishes[name] for name in ("box", "kind", "like", "detail_from", "detail_box")}
    require_fitting(photo, **given, text=words)
    chosen = chosen_in(photo, garment) if photo is not None and garment is not None else []
    each_wish = [wishes | {"box": each.box, "kind": each.known_kinds} for each in chosen] or [wishes]
    with open_catalog(catalog, readonly=True) as products:
        searcher = Searcher(encoder_of(products, encoder), products)
        start = time.perf_counter()
        search = WordSearch(searcher)
        found = [search.search(words, photo, **each) for each in each_wish]
        facts: dict[str, Any] = {"encoder": searcher.encoder.fingerprint, "took_s": time.perf_counter() - start}
        total = products.count(where=wishes["where"])
        suggest(products, wishes["where"], *(hits for hits, _ in found))
    hits, understood = found[0]
    lists = [(each, hits) for each, (hits, _) in zip(chosen, found, strict=False)] if garment == ALL else None
    offset = wishes["offset"]
    if as_json:
        facts |= {"detail": wishes["detail"], "offset": offset, "understood": vars(understood)}
        answer = response(hits, **facts, garment=fields_of(chosen)) if lists is None else answer_each(lists, facts)
        text.show_json(answer | {"total": total, "offset": offset})
        return
    note_others(photo, wishes["box"] or wishes["kind"] or garment)
    text.warn(f"understood: {understood}")
    if lists is None:
        text.show(table(hits, offset) if hits else beyond(offset, total))
    else:
        show_each(lists, offset, left=beyond(offset, total))


def chosen_in(photo: Path, wanted: str) -> "Sequence[Garment]":
    """The garments of a photo that a person means; most searches need none of what finds them."""
    from osoroi.garments import choose
    from osoroi.garments.find import find

    return choose(find(photo), wanted)


def fields_of(chosen: "Sequence[Garment]") -> dict[str, Any] | None:
    """The garment that was searched with as JSON, or None where none was found."""
    if not chosen:
        return None
    from osoroi.garments import fields

    return fields(chosen[0])


def draw(products: "StoredCatalog", query: Crop, hits: Sequence[Hit], grid: Path) -> None:
    """Write the query and its hits as a grid."""
    from osoroi.report import grid as grids

    grids.write(grid, grids.of_search(query.photo, query.box, hits, products))


def draw_each(searcher: Searcher, photo: Path, lists: "Sequence[tuple[Garment, Sequence[Hit]]]", grid: Path) -> None:
    """Write a grid with one row for each garment of a photo."""
    from osoroi.report import grid as grids

    rows = [grids.search_row(photo, each.box, hits, searcher.catalog) for each, hits in lists]
    grids.write(grid, grids.sheet(rows))


def answer_each(lists: "Sequence[tuple[Garment, Sequence[Hit]]]", facts: dict[str, Any]) -> dict[str, Any]:
    """One list of products for each garment of a photo, as JSON; ``facts`` say what the search was."""
    from osoroi.garments import fields

    return outfit_response([(fields(each), hits) for each, hits in lists], **facts)


def show_each(lists: "Sequence[tuple[Garment, Sequence[Hit]]]", offset: int, *, left: str) -> None:
    """Print one list of products for each garment of a photo."""
    for place, (each, hits) in enumerate(lists, start=1):
        text.show(f"{place} {each.kind} {','.join(map(str, each.box))}")
        show_hits(hits, offset, left=left, of=f"{place} {each.kind}")


def table(hits: Sequence[Hit], offset: int = 0) -> str:
    """Hits as aligned columns: rank, chance where it is known, score, the parts' cosines, id, title, price; and a line
    where other kinds begin."""
    names = list(hits[0].parts)
    chance = ["chance"] if hits[0].probability is not None else []
    rows = [["rank", *chance, "score", *names, "product", "title", "price"]]
    for rank, hit in enumerate(hits, start=offset + 1):
        price = "" if hit.product.price is None else f"{number(hit.product.price)} {hit.product.currency or ''}".strip()
        cosines = [f"{hit.parts[name]:.3f}" for name in names]
        chance = [] if hit.probability is None else [f"{hit.probability:.0%}"]
        rows.append([str(rank), *chance, f"{hit.score:.3f}", *cosines, hit.product_id, hit.product.title, price])
    lines = text.aligned(rows).split("\n")
    if any(hit.other_kind for hit in hits):
        lines.insert(1 + [hit.other_kind for hit in hits].index(True), OTHER_KINDS)
    return "\n".join(lines)
