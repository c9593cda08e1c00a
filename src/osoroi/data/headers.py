"""What the columns of a shop's table are called elsewhere: a dictionary of synonyms, and the column that each means.

A header is compared without capitals, spaces, signs and width. Our own names win; then the group of synonyms that comes
first. Where a group has two columns of a table, nobody can know which one is meant, and that is a question.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from osoroi.data.currencies import CODES

SYNONYMS: dict[str, tuple[str, ...]] = {
    "product_id": (
        "id item_id handle_id product_handle productid product_code productcode item_code itemcode"
        " handle 商品id 商品コード 商品管理番号"
        " artikelnummer artikelnr produkt_id referencia reference référence codice 货号 商品编号 商品編號",
        "sku item_sku product_sku variant_sku style style_code stylecode 品番 商品番号 型番 款号",
        "item_number article_number code コード product_code_sku artikel_nr",
        "item_no item_no. item_nr product_number product_no product_no. article_no article_no. article_nr art_nr art.nr"
        " art.nr. art._nr art._nr. art._no. 商品no 商品no. 商品ナンバー 品目番号",
        "article item artikel produkt",
    ),
    "photo": (
        "photos image images picture pictures img foto fotos photo_url photo_urls image_url image_urls image_link"
        " image_links image_src image_path picture_url main_image images.src images.url featured_image bild bilder"
        " bild_url bildlink imagen imagenes imágenes immagine immagini url_image lien_image 画像 商品画像 写真"
        " 商品写真 画像url 商品画像url 画像パス 商品画像パス メイン画像 メイン画像url 画像ファイル"
        " 图片 圖片 商品图片 图片链接 主图 이미지"
        " base_image main_image_url main_photo primary_image"
        " cover_image cover_image_url cover_media_url hosted_image_urls"
        " product_image product_images product_image_url"
        " product_image_urls product_image_file product_photo product_photos"
        " pic pics pic_url picurl media media_url"
        " photo_link photo_links photo_path images_url bildpfad bildadresse bilder_url"
        " produktbild produktbilder artikelbild artikelbilder hauptbild url_image image_principale image_produit visuel"
        " url_imagen imagen_url imagen_principal url_immagine immagine_principale afbeelding afbeelding_url zdjęcie",
        "additional_image additional_images additional_image_link additional_image_links sub_image gallery"
        " gallery_images サブ画像 追加画像 variant_image other_image other_images other_image_url",
        "image_file image_files photo_file photo_files image_filename image_file_name photo_filename bilddatei bildname"
        " 画像名 画像ファイル名 商品画像ファイル名 商品画像名",
    ),
    "title": (
        "name product_name productname product_title item_name product titel bezeichnung produktname artikelname nom"
        " nom_du_produit titre nombre título titulo nome nome_prodotto 商品名 商品名称 名前 名称 品名 タイトル 标题"
        " 產品名稱 产品名称 상품명",
    ),
    "category": (
        "categories category_name category_path kategorie kategorien catégorie"
        " catégories categoría categoria warengruppe カテゴリ カテゴリー 商品カテゴリ 商品カテゴリー 分類 分类 类目"
        " 카테고리 種類",
        "product_category",
        "product_type type collection collections",
        "google_product_category",
    ),
    "brand": (
        "brands vendor manufacturer maker marke hersteller marque fabricant marca ブランド ブランド名 メーカー"
        " メーカー名 品牌 브랜드",
    ),
    "price": (
        "unit_price current_price selling_price sales_price price_incl_tax variant_price variants.price preis"
        " verkaufspreis vk vk_brutto vk_preis bruttopreis preis_brutto price_gross gross_price standard_price"
        " prix prix_ttc prix_de_vente precio prezzo preço 価格 販売価格 値段 税込価格 販売価格(税込) 价格 價格"
        " 售价 售價 가격",
        "regular_price list_price retail_price price_excl_tax rrp msrp uvp 定価 通常価格 本体価格 税抜価格"
        " preis_netto price_net prix_ht",
    ),
    "currency": ("currency_code price_currency währung devise moneda valuta 通貨 货币",),
    "url": ("link product_url product_link page_url web_url permalink 商品url 商品ページ 商品ページurl リンク 链接",),
    "design_id": ("design item_group_id group_id parent_id parent_sku style_id 親商品コード 親品番",),
}
"""Our column -> groups of what it is called elsewhere, the surest first."""

FILES = 3
"""The rank of names of files, which are photos where no other column is one."""

SIZES = frozenset(
    [
        "size",
        "sizes",
        "größe",
        "groesse",
        "größen",
        "konfektionsgröße",
        "taille",
        "tailles",
        "talla",
        "tallas",
        "taglia",
        "taglie",
        "tamanho",
        "maat",
        "サイズ",
        "尺码",
        "尺寸",
        "尺碼",
        "사이즈",
        "option_size",
    ]
)
"""Columns of sizes: one line for each size of a product is one product with several sizes."""

LEAVES = {
    "photo": "src url urls href link path file original_src image image_url photo picture",
    "price": "amount value gross",
    "currency": "currency currency_code code",
    "category": "name title",
    "brand": "name title",
}
"""Our column -> the last word of a header like ``price.amount`` whose first word means it."""

CODES_OF_LANGUAGES = (
    "ar bg bn bs ca cs cy da de el en es et eu fa fi fil fr ga gl gu he hi hr hu hy is it ja ka kk km kn ko lo lt lv"
    " mk ml mn mr ms my nb nl nn pa pl pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur uz vi zh"
    " eng deu ger fra fre ita jpn kor spa zho chi por cn jp kr tw"
)
"""Languages at the end of a header, and countries that stand for theirs. ``id`` and ``no`` mean other things there."""

LANGUAGES = frozenset(CODES_OF_LANGUAGES.split())

IN_LANGUAGES = ("title", "category", "brand")
"""Our columns that a table may have in several languages."""

TRANSLATED = 10
"""What the rank of a column in one language lies below that of the same without: such a column goes before it."""

UNLIKELY = re.compile(r"excl|without|ohne|netto|\bnet\b|税抜|税別|\bhors\b|\bid\b|コード")
"""In the brackets of a header: the price without taxes, the number of a category. Another column goes before it."""

PHOTO_NUMBER = re.compile(r"(\D*?)[_.\-]?(\d{1,2})([_.\-]?(?:url|link|src))?")
"""``image_2``, ``photo3``, ``画像1``, ``image_2_url``: one of several columns of photos."""

OURS = frozenset((*SYNONYMS, "crop_id", "domain", "left", "top", "right", "bottom", "split"))
"""The columns that mean something under our own names."""


REMEMBERED = 1024
"""Headers whose plain form is held: it is asked for with every line."""


@lru_cache(maxsize=REMEMBERED)
def plain(header: str) -> str:
    """A header without capitals, width, spaces, signs and a prefix like ``g:``.

    >>> plain(" Product ID*"), plain("商品コード（必須）"), plain("g:image_link"), plain("Bild-URL")
    ('product_id', '商品コード', 'image_link', 'bild_url')
    """
    written = unicodedata.normalize("NFKC", header).strip()
    text = re.sub(r"^g:", "", written.casefold())
    if text not in LOOKUP:
        text = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"^g:", "", written)).casefold()  # productImageUrl
        text = re.sub(r"\s*[(\[【].*?[)\]】]\s*$", "", text)
    name = re.sub(r"[\s_\-/]+", "_", text.strip(" *:#")).strip("_")
    return name if name in LOOKUP else name.rstrip(".")


def role_of(header: str) -> str | None:
    """Which of our columns a header means, None for an attribute. Numbered columns of photos are photos.

    >>> [role_of(name) for name in ("ID", "Image Src", "画像2", "Preis", "colour", "additional_image_link 2")]
    ['product_id', 'photo', 'photo', 'price', None, 'photo']
    >>> [role_of(name) for name in ("name.ja", "product_name_en", "title.en-US", "category_id", "images.name.ja")]
    ['title', 'title', 'title', None, None]
    >>> [role_of(name) for name in ("price.amount", "productImageUrl", "Price USD", "images.alt", "image.1")]
    ['price', 'photo', 'price', None, 'photo']
    """
    found = rank_of(header)
    return None if found is None else found[0]


def rank_of(header: str) -> tuple[str, int] | None:
    """Our column and how sure it is, 0 for our own name."""
    name = plain(header)
    if header.strip() in OURS:
        return header.strip(), 0
    if name in LOOKUP:
        role, rank = LOOKUP[name]
        return role, rank + bool(role != "photo" and UNLIKELY.search(bracket(header)))
    if (of := untranslated(name)) and (inner := rank_of(of)) is not None and inner[0] in IN_LANGUAGES:
        return inner[0], inner[1] + TRANSLATED
    above, _, leaf = name.rpartition(".")
    if above and (inner := _of_parts(above, leaf)) is not None:
        return inner
    amount, _, code = name.rpartition("_")
    if code.upper() in CODES and LOOKUP.get(amount, ("", 0))[0] == "price":
        return LOOKUP[amount]
    return _numbered_photo(name)


def _numbered_photo(name: str) -> tuple[str, int] | None:
    """Our column for one of several of photos."""
    numbered = PHOTO_NUMBER.fullmatch(name)
    if numbered:
        stem = (numbered[1] or "").strip("_.-") + (numbered[3] or "").replace("-", "_")
        known = LOOKUP.get(stem)
        if known is not None and known[0] == "photo":
            return "photo", max(2, known[1])
    return None


def untranslated(name: str) -> str:
    """A plain header without the language at its end; empty where it ends in none.

    >>> untranslated("name.ja"), untranslated("product_name_en"), untranslated("title.en_us"), untranslated("brand_id")
    ('name', 'product_name', 'title', '')
    """
    found = re.fullmatch(r"(.+?)[._]([a-z]{2,3})(_[a-z]{2,4})?", name)
    return found[1] if found and found[2] in LANGUAGES else ""


def _of_parts(stem: str, leaf: str) -> tuple[str, int] | None:
    """Our column for a header like ``price.amount``, the value of an inner object."""
    first = LOOKUP.get(stem) or LOOKUP.get(stem.rpartition(".")[2])
    if first is None:
        return None
    role, rank = first
    if role == "price" and leaf in LEAVES["currency"].split():
        return "currency", rank + 1
    return (role, rank + 1) if leaf in LEAVES.get(role, "").split() else None


def bracket(header: str) -> str:
    """What stands in brackets at the end of a header.

    >>> bracket("Price (tax excl.)"), bracket("商品カテゴリ(ID)"), bracket("Price")
    ('tax excl.', 'id', '')
    """
    found = re.search(r"[(\[【](.*?)[)\]】]\s*$", unicodedata.normalize("NFKC", header).casefold())
    return found[1] if found else ""


class Roles(NamedTuple):
    """Our column -> theirs; the columns of photos in their order; and what nobody can know, one sentence each."""

    columns: dict[str, str]
    photos: tuple[str, ...]
    undecided: tuple[str, ...]


def assigned(headers: Iterable[str], taken: Iterable[str] = ()) -> Roles:
    """Which header is which of our columns; ``taken`` are ours that a recipe names already.

    >>> assigned(["ID", "Name", "Image 2", "Image 1", "colour"]).columns
    {'product_id': 'ID', 'title': 'Name', 'photo': 'Image 1'}
    >>> assigned(["photo", "sku", "品番"]).undecided
    ('product_id may be `sku` or `品番`',)
    >>> assigned(["photo", "title.en", "title.ja"])[::2]
    ({'title': 'title.en', 'photo': 'photo'}, ())
    """
    named = list(headers)
    ranks: dict[str, list[tuple[int, str]]] = {}
    for header in named:
        found = rank_of(header)
        if found is not None and found[0] not in taken:
            ranks.setdefault(found[0], []).append((found[1], header))
    columns: dict[str, str] = {}
    undecided: list[str] = []
    shown = ranks.pop("photo", [])
    sure = [one for rank, one in shown if rank < FILES]
    photos = tuple(sorted(sure or [one for _, one in shown], key=photo_order))
    for role, candidates in ranks.items():
        best = min(rank for rank, _ in candidates)
        first = [header for rank, header in candidates if rank == best]
        columns[role] = first[0]
        if len(first) > 1 and best < TRANSLATED:
            undecided.append(f"{role} may be {' or '.join(f'`{header}`' for header in first)}")
    if photos:
        columns["photo"] = photos[0]
    return Roles(columns, photos, tuple(undecided))


def photo_order(header: str) -> tuple[int, int, str]:
    """Main photos first, then by number, additional ones last."""
    found = rank_of(header)
    numbered = re.search(r"(\d{1,2})\D*$", unicodedata.normalize("NFKC", header))
    return (LOOKUP.get(plain(re.sub(r"\d+", "", header)), found or ("", 1))[1], int(numbered[1]) if numbered else 0, "")


LOOKUP: dict[str, tuple[str, int]] = {}
for _ours, _groups in SYNONYMS.items():
    for _rank, _group in enumerate((_ours, *_groups)):
        for _word in _group.split():
            LOOKUP.setdefault(unicodedata.normalize("NFKC", _word).casefold(), (_ours, _rank))
