"""The page's words, in English and Japanese, and how each language writes money and names."""

from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "ja")

PageTexts = Mapping[str, str]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "tagline": ("Find what she is wearing.", "その服、見つけます。"),
    "lead": (
        "Drop a photo. Each garment in it is found: choose one, and see what the shop has that matches.",
        "写真を選ぶと、写っている服が一点ずつ見つかります。気になる一着を選べば、お店のお揃いが並びます。",
    ),
    "drop": ("Drop a photo here", "ここに写真をドロップ"),
    "drop_more": ("paste one, or", "貼り付けでも、または"),
    "choose": ("Choose a photo", "写真を選ぶ"),
    "take": ("Take a photo", "写真を撮る"),
    "another": ("Another photo", "別の写真"),
    "private": (
        "Photos are searched with and forgotten: never stored, never logged.",
        "写真は検索にだけ使われ、保存も記録もされません。",
    ),
    "in_words": ("Or in words", "言葉でも"),
    "words_beside": ("In words, beside the photo", "写真に言葉を添える"),
    "words_example": ("red floral dress", "赤い花柄ワンピース"),
    "understood": ("Understood", "読み取り"),
    "color": ("colour", "色"),
    "pattern": ("pattern", "柄"),
    "in_titles": ("in titles", "商品名"),
    "other_kinds": ("Other kinds", "ほかの種類"),
    "lacks": ("The shop has no {kind}.", "このお店に{kind}はありません。"),
    "lacks_filtered": ("The shop has no {kind} that match these filters.", "この条件に合う{kind}はありません。"),
    "examples": ("Or begin with something from the shop", "お店の一着から始める"),
    "query": ("Your photo", "写真"),
    "draw": ("Draw a box", "囲む"),
    "whole": ("Whole photo", "写真全体"),
    "garments": ("Garments in the photo", "写真の中の服"),
    "garment_n": ("{name}, {n} of {all}", "{name}、{all} 点中 {n}"),
    "of_person": (", person {n}", "、{n} 人目"),
    "whole_look": ("The whole look", "コーデ全体"),
    "find_garments": ("Garments in this photo", "この写真の服"),
    "finding": ("Finding the garments …", "服を探しています…"),
    "adjust": ("Shape, colour, pattern", "形・色・柄の調整"),
    "in_color": ("In another colour", "色を変える"),
    "colors_of_photo": ("Colours of the photo", "写真の色"),
    "color_of_photo": ("{name}, from the photo", "写真の{name}"),
    "palette": ("Palette", "色見本"),
    "own_color": ("Back to its own colour", "元の色に戻す"),
    "this_pattern": ("This pattern: choose a photo", "この柄で：写真を選ぶ"),
    "pattern_photo": ("Photo of the pattern", "柄の写真"),
    "pattern_box": ("Box in the photo of the pattern", "柄の写真の枠"),
    "box_help": (
        "Drag on the photo to draw a box around one garment. With the keyboard: “Draw a box”, then the arrow keys move "
        "it and its corners; Shift takes larger steps, Delete removes it.",
        "写真の上をドラッグして一着を囲みます。キーボードでは「囲む」を押し、矢印キーで枠や角を動かします"
        "（Shift で大きく、Delete で消去）。",
    ),
    "box": ("Box", "枠"),
    "box_numbers": ("Box in numbers", "枠を数字で"),
    "box_pixels": ("pixels of the upright photo", "写真のピクセル"),
    "left": ("left", "左"),
    "top": ("top", "上"),
    "right": ("right", "右"),
    "bottom": ("bottom", "下"),
    "corner_nw": ("top left corner", "左上の角"),
    "corner_ne": ("top right corner", "右上の角"),
    "corner_sw": ("bottom left corner", "左下の角"),
    "corner_se": ("bottom right corner", "右下の角"),
    "matters": ("What matters", "重視するもの"),
    "shape": ("Shape", "形"),
    "detail": ("Colour and pattern", "色と柄"),
    "both": ("Both", "両方"),
    "own": ("as measured to work best", "いちばん当たる配分"),
    "own_reset": ("Back to the best balance", "おすすめの配分に戻す"),
    "match": ("Match", "一致"),
    "shape_short": ("shape", "形"),
    "detail_short": ("colour", "色柄"),
    "kind_short": ("kind", "種類"),
    "agreed": ("agrees by {n} of 100", "一致度 100 中 {n}"),
    "by_shape": ("By shape", "形で"),
    "by_detail": ("By colour and pattern", "色と柄で"),
    "by_both": ("By both", "両方で"),
    "strips": ("The same photo, three ways of looking", "同じ写真を、三つの見方で"),
    "saliency": ("Show what was looked at", "注目した部分を見る"),
    "filters": ("Filters", "絞り込み"),
    "clear_filters": ("Clear filters", "絞り込みを解除"),
    "price": ("Price", "価格"),
    "above": ("from", "下限"),
    "below": ("to", "上限"),
    "category": ("Category", "カテゴリー"),
    "brand": ("Brand", "ブランド"),
    "more_values": ("more", "もっと見る"),
    "search": ("Search", "検索"),
    "search_in_words": ("Search in words", "言葉で検索"),
    "found": ("{n} products, best first", "{n} 点、似ている順"),
    "unlikely": (
        "The shop probably does not have this very piece. These come nearest.",
        "まったく同じものはなさそうです。近いものから並べています。",
    ),
    "found_all": ("All {n} products that match", "条件に合う {n} 点すべて"),
    "more_like_this": ("More like this", "これに似たもの"),
    "like": ("More like {title}", "{title} に似たもの"),
    "at_shop": ("in the shop", "商品ページ"),
    "show_more": ("Show more", "もっと見る"),
    "none": ("Nothing in the shop matches these filters.", "この条件に合う商品はありません。"),
    "none_hint": ("Widen the price, or clear the filters.", "価格を広げるか、絞り込みを解除してください。"),
    "empty": ("The shop is empty.", "まだ商品がありません。"),
    "empty_hint": (
        "Fill it with: osoroi add CATALOG table:products.csv",
        "商品を入れるには: osoroi add CATALOG table:products.csv",
    ),
    "alone": ("There is nothing else in the shop.", "ほかに商品がありません。"),
    "no_words": ("Nothing in the shop matches these words.", "この言葉に合う商品はありません。"),
    "no_words_hint": ("Try other words, or fewer of them.", "別の言葉や、もっと短い言葉をお試しください。"),
    "photo_gone": ("Choose your photo again", "写真をもう一度選んでください"),
    "photo_gone_hint": (
        "Photos are not kept, so a page that was reloaded has to be given its photo anew.",
        "写真は保存されないため、再読み込みのあとはもう一度選ぶ必要があります。",
    ),
    "trouble": ("That did not work.", "うまくいきませんでした。"),
    "trouble_busy": ("Many people are searching right now.", "ただいま混み合っています。"),
    "trouble_busy_hint": ("Try again in a moment.", "少し待ってからもう一度お試しください。"),
    "trouble_gone": ("The shop does not answer.", "サーバーにつながりません。"),
    "trouble_gone_hint": (
        "Your photo and your box are still here. Check the connection, then try again.",
        "写真と枠はそのまま残っています。接続を確かめて、もう一度お試しください。",
    ),
    "trouble_found": ("This is not in the shop (any more).", "この商品は見つかりません。"),
    "trouble_found_hint": ("Start again with a photo.", "写真から始めてみてください。"),
    "trouble_key": ("This shop is not open to everybody.", "このページには鍵が必要です。"),
    "trouble_key_hint": ("Ask the shop for a key.", "お店にお問い合わせください。"),
    "trouble_large": ("This photo is too large.", "写真が大きすぎます。"),
    "trouble_large_hint": (
        "Try a smaller photo, or a screenshot of it.",
        "小さい写真か、スクリーンショットでお試しください。",
    ),
    "trouble_unread": ("This file cannot be read as a photo.", "この写真は読み込めませんでした。"),
    "trouble_unread_hint": (
        "Try a JPEG, PNG or WebP, or take a screenshot of it.",
        "JPEG・PNG・WebP の写真か、スクリーンショットでお試しください。",
    ),
    "trouble_refused": ("The shop cannot answer just now.", "ただいま検索できません。"),
    "trouble_refused_hint": (
        "Your photo and your box are still here. Try again in a moment.",
        "写真と枠はそのまま残っています。少し待ってからもう一度お試しください。",
    ),
    "notice_several": (
        "Only one photo is searched at a time: the first one was taken.",
        "一度に検索できる写真は 1 枚です。最初の 1 枚で検索しました。",
    ),
    "notice_no-file": (
        "That was no photo. Save the picture first, then choose or drop its file.",
        "写真ファイルではありません。画像を保存してから、そのファイルを選んでください。",
    ),
    "again": ("Try again", "もう一度"),
    "start": ("Start page", "はじめに戻る"),
    "working": ("Searching …", "検索中…"),
    "language": ("Language", "言語"),
    "skip": ("Skip to the results", "結果へ進む"),
    "yes": ("yes", "あり"),
    "no": ("no", "なし"),
    "no_photo": ("no photo", "写真なし"),
    "photo_n": ("photo {n} of {title}", "{title} の写真 {n}"),
}
"""Key -> (English, Japanese)."""

KNOWN: Final[dict[str, str]] = {
    "tops": "トップス", "top": "トップス", "shirt": "シャツ", "shirts": "シャツ", "t-shirt": "Tシャツ",
    "tee": "Tシャツ", "blouse": "ブラウス", "sweater": "セーター", "knit": "ニット",
    "dress": "ワンピース", "dresses": "ワンピース",
    "skirt": "スカート", "skirts": "スカート", "pants": "パンツ", "trousers": "パンツ", "shorts": "ショートパンツ",
    "outerwear": "アウター", "coat": "コート", "coats": "コート", "jacket": "ジャケット", "jackets": "ジャケット",
    "bag": "バッグ", "bags": "バッグ", "shoes": "靴", "hats": "帽子", "leggings": "レギンス",
    "cardigan": "カーディガン", "hoodie": "パーカー",
    "colour": "色", "color": "色", "pattern": "柄", "material": "素材", "size": "サイズ",
    "in stock": "在庫あり", "sale": "セール", "red": "赤", "blue": "青", "green": "緑", "black": "黒", "white": "白",
    "grey": "グレー", "yellow": "黄", "pink": "ピンク", "navy": "紺", "brown": "茶", "beige": "ベージュ",
    "orange": "オレンジ", "purple": "紫", "plain": "無地", "stripes": "ストライプ", "checks": "チェック",
    "dots": "水玉", "cut": "シルエット", "kind": "種類", "gender": "性別", "season": "季節",
}  # fmt: skip
"""Words that shops use for their columns and values, in Japanese."""


def words(lang: str) -> PageTexts:
    """All words in one language.

    >>> words("en")["search"], words("ja")["search"]
    ('Search', '検索')
    """
    return {key: pair[LANGUAGES.index(lang)] for key, pair in WORDS.items()}


def language(wish: str | None, accept: str) -> str:
    """The language of a page: what the address says, else the first of ours among those that the browser accepts.

    >>> language(None, "fr;q=0.9, ja;q=0.8, en;q=0.5"), language("en", "ja"), language(None, "")
    ('ja', 'en', 'en')
    """
    if wish in LANGUAGES:
        return wish
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",")[:20]):
        tag, _, rest = part.strip().partition(";")
        quality = rest.strip().removeprefix("q=") or "1"
        if quality.replace(".", "", 1).isdecimal() and quality.isascii():
            ranked.append((-float(quality), place, tag.lower()[:2]))
    return next((tag for _, _, tag in sorted(ranked) if tag in LANGUAGES), LANGUAGES[0])


def named(text: str, lang: str) -> str:
    """A shop's own word as the page shows it.

    >>> named("in_stock", "en"), named("skirts", "ja"), named("Aoi & Co", "ja")
    ('In stock', 'スカート', 'Aoi & Co')
    """
    plain = text.replace("_", " ")
    return KNOWN.get(plain.lower(), plain) if lang == "ja" else plain[:1].upper() + plain[1:]


def money(price: float | None, currency: str | None, lang: str) -> str:
    """A price.

    >>> money(4900.0, "JPY", "en"), money(4900.0, "JPY", "ja"), money(49.5, "EUR", "en"), money(12.0, None, "en")
    ('¥4,900', '4,900円', '€49.50', '12')
    """
    if price is None:
        return ""
    amount = f"{price:,.0f}" if currency == "JPY" or float(price).is_integer() else f"{price:,.2f}"
    if currency == "JPY" and lang == "ja":
        return f"{amount}円"
    sign = {"JPY": "¥", "EUR": "€", "USD": "$", "GBP": "£"}.get(currency or "")
    return f"{sign}{amount}" if sign else f"{amount} {currency or ''}".strip()
