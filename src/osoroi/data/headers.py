"""What the columns of a shop's table are called elsewhere: a dictionary of synonyms, and the column that each means.

A header is compared without capitals, spaces, signs and width. Our own names win; then the group of synonyms that comes
first. Where a group has two columns of a table, nobody can know which one is meant, and that is a question.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

SYNONYMS: dict[str, tuple[str, ...]] = {
    "product_id": (
        "id item_id productid product_code productcode item_code itemcode handle 商品id 商品コード 商品管理番号"
        " artikelnummer artikelnr produkt_id referencia reference référence codice 货号 商品编号 商品編號",
        "sku item_sku product_sku variant_sku style style_code stylecode 品番 商品番号 型番 款号",
        "item_number article_number code コード",
        "item_no item_no. item_nr product_number product_no product_no. article_no article_no. article_nr art_nr art.nr"
        " art.nr. art._nr art._nr. art._no. 商品no 商品no. 商品ナンバー 品目番号",
        "article",
    ),
    "photo": (
        "photos image images picture pictures img foto fotos photo_url photo_urls image_url image_urls image_link"
        " image_links image_src image_path picture_url main_image images.src images.url featured_image bild bilder"
        " bild_url bildlink imagen imagenes imágenes immagine immagini url_image lien_image 画像 商品画像 写真"
        " 商品写真 画像url 商品画像url 画像パス メイン画像 画像ファイル 图片 圖片 商品图片 图片链接 主图 이미지",
        "additional_image additional_images additional_image_link additional_image_links sub_image gallery"
        " gallery_images サブ画像 追加画像 variant_image",
        "image_file image_files photo_file photo_files",
    ),
    "title": (
        "name product_name productname product_title item_name product titel bezeichnung produktname artikelname nom"
        " nom_du_produit titre nombre título titulo nome nome_prodotto 商品名 商品名称 名前 名称 品名 タイトル 标题"
        " 產品名稱 产品名称 상품명",
    ),
    "category": (
        "categories product_category product_type type google_product_category kategorie kategorien catégorie"
        " catégories categoría categoria warengruppe カテゴリ カテゴリー 商品カテゴリ 商品カテゴリー 分類 分类 类目"
        " 카테고리 種類",
    ),
    "brand": (
        "brands vendor manufacturer maker marke hersteller marque fabricant marca ブランド ブランド名 メーカー"
        " メーカー名 品牌 브랜드",
    ),
    "price": (
        "unit_price current_price selling_price sales_price price_incl_tax variant_price variants.price preis"
        " verkaufspreis vk prix prix_de_vente precio prezzo preço 価格 販売価格 値段 税込価格 販売価格(税込) 价格 價格"
        " 售价 售價 가격",
        "regular_price list_price retail_price price_excl_tax rrp msrp uvp 定価 通常価格 本体価格 税抜価格",
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

PHOTO_NUMBER = re.compile(r"(\D*?)[_.\-]?(\d{1,2})([_.\-]?(?:url|link|src))?")
"""``image_2``, ``photo3``, ``画像1``, ``image_2_url``: one of several columns of photos."""

OURS = frozenset((*SYNONYMS, "crop_id", "domain", "left", "top", "right", "bottom", "split"))
"""The columns that mean something under our own names."""


def plain(header: str) -> str:
    """A header without capitals, width, spaces, signs and a prefix like ``g:``.

    >>> plain(" Product ID*"), plain("商品コード（必須）"), plain("g:image_link"), plain("Bild-URL")
    ('product_id', '商品コード', 'image_link', 'bild_url')
    """
    text = unicodedata.normalize("NFKC", header).casefold().strip()
    text = re.sub(r"^g:", "", text)
    if text not in LOOKUP:
        text = re.sub(r"\s*[(\[【].*?[)\]】]\s*$", "", text)
    return re.sub(r"[\s_\-/]+", "_", text.strip(" *:#")).strip("_")


def role_of(header: str) -> str | None:
    """Which of our columns a header means, None for an attribute. Numbered columns of photos are photos.

    >>> [role_of(name) for name in ("ID", "Image Src", "画像2", "Preis", "colour", "additional_image_link 2")]
    ['product_id', 'photo', 'photo', 'price', None, 'photo']
    """
    found = rank_of(header)
    return None if found is None else found[0]


def rank_of(header: str) -> tuple[str, int] | None:
    """Our column and how sure it is, 0 for our own name."""
    name = plain(header)
    if header.strip() in OURS:
        return header.strip(), 0
    if name in LOOKUP:
        return LOOKUP[name]
    numbered = PHOTO_NUMBER.fullmatch(name)
    if numbered:
        stem = (numbered[1] or "").strip("_.-") + (numbered[3] or "").replace("-", "_")
        role = LOOKUP.get(stem)
        if role is not None and role[0] == "photo":
            return "photo", max(2, role[1])
    return None


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
        if len(first) > 1:
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
