"""Exports as shops write them go through ``look``, ``add`` and ``search``; and what each trap must give."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from exports import EXPORTS, JAPANESE, Export, write_all
from more_exports import MORE
from osoroi import ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.cli import main
from osoroi.data.readers import open_dataset
from osoroi.data.readers.table import Table
from osoroi.data.readers.table_recipe import read_recipe
from osoroi.errors import BadDataset
from osoroi.search import Searcher
from osoroi.tables import open_incoming
from tiny import TinyEncoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    write_all(folder, [*EXPORTS, *MORE])
    return folder


ALL = [*EXPORTS, *MORE]
OTHER = "photo,Title\na.jpg,x\n"


def table_at(address: str | Path) -> Table:
    reader = open_dataset(f"table:{address}")
    assert isinstance(reader, Table)
    return reader


def text(folder: Path, content: str | bytes, name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("export", ALL, ids=[export.file for export in ALL])
def test_every_export_is_read_as_what_it_says(folder: Path, export: Export) -> None:
    incoming = open_incoming(f"table:{folder / export.file}{export.options}")
    rows = list(incoming.rows())
    by_id: dict[str, list[object]] = {}
    for row in rows:
        by_id.setdefault(row.product.product_id, []).append(row.crop)
    first = rows[0].product
    assert (first.product_id, first.price, first.currency, first.title) == (
        *(export.product_id, export.price, export.currency, export.title),
    )
    assert (len(by_id), len(by_id[first.product_id])) == (export.products, export.photos)
    assert {name: first.attributes.get(name) for name in export.attributes} == export.attributes
    assert len(incoming.bad_lines) == export.errors


@pytest.mark.parametrize("export", [one for one in ALL if one.file != "rakuten.csv"], ids=lambda export: export.file)
def test_every_export_becomes_a_catalog_that_finds_the_product(folder: Path, tmp_path: Path, export: Export) -> None:
    encoder = TinyEncoder()
    incoming = open_incoming(f"table:{folder / export.file}{export.options}")
    with LocalCatalog.open_or_create(tmp_path / "shop", encoder) as catalog:
        count = ingest.add(incoming.rows(), catalog, encoder)
        assert (count.added, count.unreadable) == (export.products, 0)
        price = "price is missing" if export.price is None else f"price = {export.price}"
        hits = Searcher(encoder, catalog).search(folder / "tee.jpg", k=1, where=f'title = "{export.title}"')
        assert [hit.product_id for hit in hits] == [export.product_id]
        assert [
            product.product_id
            for product in catalog.products(where=f"{price} and title contains '{export.title.upper()}'")
        ] == [export.product_id]
        for name, value in export.attributes.items():
            wanted = value[-1] if isinstance(value, tuple) else value
            shown = wanted if isinstance(wanted, float) else f'"{wanted}"'
            where = f'attributes."{name}" {"contains" if isinstance(value, tuple) else "="} {shown}'
            assert catalog.count(where=where) == export.products


@pytest.mark.parametrize("export", ALL, ids=[export.file for export in ALL])
def test_looking_at_every_export_shows_its_first_product_and_counts_its_errors(folder: Path, export: Export) -> None:
    table = f"table:{folder / export.file}{export.options}"
    result = CliRunner().invoke(main, ["look", table], catch_exceptions=False)
    assert result.exit_code == (3 if export.errors else 0), result.output
    for said in (export.product_id, export.title):
        assert said in result.stdout


def test_looking_at_a_table_says_how_it_is_read_and_lists_every_error_at_once(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "draft.toml"
    result = CliRunner().invoke(main, ["look", str(folder / "mistakes.csv"), "--write", str(recipe)])
    assert result.exit_code == 3
    for said in (
        "`id` read as product_id",
        "line 3: price 'soon' is no number",
        "line 4: 2 values",
        "line 5: no photo",
    ):
        assert said in result.stdout
    drafted = list(table_at(f"{folder / 'mistakes.csv'}?recipe={recipe}").rows(lambda error: None))
    assert drafted == list(table_at(folder / "mistakes.csv").rows(lambda error: None))


@pytest.mark.parametrize("name", ["variants.csv", "japanese.csv", "photos.csv", "excel.xlsx", "size_list.csv"])
def test_a_drafted_recipe_reads_the_table_alike(folder: Path, tmp_path: Path, name: str) -> None:
    recipe = tmp_path / "draft.toml"
    CliRunner().invoke(main, ["look", str(folder / name), "--write", str(recipe)], catch_exceptions=False)
    again = list(open_dataset(f"table:{folder / name}?recipe={recipe}").rows())
    assert again == list(open_dataset(f"table:{folder / name}").rows())


def test_what_may_be_read_two_ways_is_asked_and_a_recipe_answers(tmp_path: Path) -> None:
    path = text(tmp_path, 'photo,id,price\na.jpg,a,"1,299"\nb.jpg,b,"2,490"\n')
    with pytest.raises(BadDataset, match=r"price: `1,299` is thousands or a fraction of three digits; osoroi look"):
        list(open_dataset(f"table:{path}").rows())
    for decimal, price in ((".", 1299.0), (",", 1.299)):
        recipe = tmp_path / "r.toml"
        recipe.write_text(f'[columns]\nproduct_id = "id"\n[prices]\ndecimal = "{decimal}"\n')
        if decimal == ",":
            with pytest.raises(BadDataset, match="is thousands or a fraction"):
                list(open_dataset(f"table:{path}?recipe={recipe}").rows())
        else:
            assert [row.product.price for row in open_dataset(f"table:{path}?recipe={recipe}").rows()] == [
                price,
                2490.0,
            ]
    two = text(tmp_path, "photo,sku,品番\na.jpg,1,2\n", "two.csv")
    with pytest.raises(BadDataset, match="product_id may be `sku` or `品番`"):
        list(open_dataset(f"table:{two}").rows())


def test_lines_of_a_product_that_stand_apart_are_one_product(tmp_path: Path) -> None:
    path = text(tmp_path, "photo,id,size\na.jpg,a,S\nb.jpg,b,M\na.jpg,a,L\n")
    rows = list(open_dataset(f"table:{path}").rows())
    assert [(row.product.product_id, row.product.attributes["size"]) for row in rows] == [
        ("b", ("M",)),
        ("a", ("S", "L")),
    ]


def test_sizes_with_a_fraction_are_no_list_and_descriptions_are_none_either(tmp_path: Path) -> None:
    path = text(tmp_path, 'photo,id,sizes,note\na.jpg,a,"36,5","soft, warm"\nb.jpg,b,"38,5","x, y"\n')
    first = next(iter(open_dataset(f"table:{path}").rows())).product
    assert first.attributes == {"sizes": "36,5", "note": "soft, warm"}


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp"])
@pytest.mark.parametrize("words", [["ワンピース"], ["赤いコート", "綿100%"], list(JAPANESE.values())])
def test_short_japanese_tables_are_recognised(tmp_path: Path, encoding: str, words: list[str]) -> None:
    lines = "".join(f"a{place}.jpg,{word}\n" for place, word in enumerate(words))
    path = text(tmp_path, f"photo,商品名\n{lines}".encode(encoding))
    assert [row.product.title for row in open_dataset(f"table:{path}").rows()] == words


def test_an_encoding_that_is_not_recognised_is_asked_for_and_can_be_named(tmp_path: Path) -> None:
    path = text(tmp_path, "photo,title\na.jpg,Красное платье\nb.jpg,Синяя юбка\n".encode("cp1251"))
    with pytest.raises(BadDataset, match=r"encoding=cp932"):
        list(open_dataset(f"table:{path}").rows())
    assert next(iter(open_dataset(f"table:{path}?encoding=cp1251").rows())).product.title == "Красное платье"
    with pytest.raises(BadDataset, match="there is no encoding 'martian'"):
        list(open_dataset(f"table:{path}?encoding=martian").rows())


def test_a_feed_with_a_document_type_is_refused(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><rss><item><id>&b;</id></item></rss>'
    with pytest.raises(BadDataset, match="document type"):
        list(open_dataset(f"table:{text(tmp_path, bomb, 'feed.xml')}").rows())


def test_an_element_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    feed = f"<rss><item><id>{'x' * (3 << 19)}</id></item></rss>"
    with pytest.raises(BadDataset, match="an element is too long"):
        list(open_dataset(f"table:{text(tmp_path, feed, 'feed.xml')}").rows())


def test_the_recipes_of_shop_systems_name_what_they_need(tmp_path: Path) -> None:
    for name in ("google", "shopify", "woocommerce", "rakuten", "rakuten_sku", "yahoo_shopping"):
        assert read_recipe(name).named >= {"product_id", "title", "photo"}
    with pytest.raises(BadDataset, match="the recipe asks for Handle"):
        list(open_dataset(f"table:{text(tmp_path, OTHER)}?recipe=shopify").rows())


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("uncomputed.xlsx", "3 formulas have no value and are read as empty"),
        ("cover.xlsx", "sheet 'Products', not 'Cover': ?sheet=NAME reads another"),
        ("unnamed_shopify.csv", "read by the recipe shopify, whose columns these are"),
        ("ranges.csv", "`19,90 € – 49,90 €` read as the lowest price, and so in 2 lines"),
        ("sold_out.csv", "`売り切れ`, `auf Anfrage` read as no price, in 2 lines"),
        ("price_header.csv", "prices are in EUR, by their header"),
        ("markup.csv", "tags and entities of HTML are left out of the titles and categories of 3 lines"),
    ],
)
def test_what_is_decided_about_a_table_is_said(folder: Path, file: str, said: str) -> None:
    layout = open_incoming(f"table:{folder / file}").layout
    assert layout is not None
    assert any(note.startswith(said) for note in layout.notes), layout.notes


def test_photos_of_another_folder_are_named_by_an_option_or_a_recipe(folder: Path, tmp_path: Path) -> None:
    table = text(tmp_path, "photo,sku\ntee.jpg,tee\n")
    result = CliRunner().invoke(main, ["look", str(table)])
    assert result.exit_code == 3
    assert "--photos FOLDER names another" in result.stdout
    assert CliRunner().invoke(main, ["look", str(table), "--photos", str(folder)]).exit_code == 0
    (tmp_path / "r.toml").write_text(f'[columns]\nphoto = "photo"\nproduct_id = "sku"\n[table]\nphotos = "{folder}"\n')
    for options in (f"photos={folder}", f"recipe={tmp_path / 'r.toml'}"):
        (row,) = open_dataset(f"table:{table}?{options}").rows()
        assert row.crop.photo == folder / "tee.jpg"
    with pytest.raises(BadDataset, match="photos= is for a table"):
        open_dataset(f"table:{folder}?photos={tmp_path}")


def test_a_photo_that_two_files_may_be_is_neither(tmp_path: Path) -> None:
    for name in ("Tee.jpg", "TEE.jpg", "coat.jpg", "coat.png"):
        (tmp_path / name).write_bytes(b"")
    if (tmp_path / "tee.jpg").exists():
        pytest.skip("the file system does not tell capitals apart")
    table = text(tmp_path, "photo,sku\ntee.jpg,a\ncoat,b\n")
    rows = open_dataset(f"table:{table}").rows()
    assert [row.crop.photo for row in rows] == [tmp_path / "tee.jpg", tmp_path / "coat"]
