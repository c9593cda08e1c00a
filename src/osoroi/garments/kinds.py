"""The kinds of garments: one table with their names, their place on the body, and the words shops use for them.

``read_category`` finds the kind of a shop's category in English or Japanese, alone or as a path.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

Slot = Literal["upper", "lower", "whole", "feet", "head", "carried", "worn"]
"""Where on the body: ``whole`` covers upper and lower, ``carried`` is held, ``worn`` is everything small."""


@dataclass(frozen=True)
class Kind:
    """One row of the table: English and Japanese name, place on the body, and synonyms in both languages.

    English synonyms are singular and in lower case; their plural is understood too.
    """

    name: str
    japanese: str
    slot: Slot
    english_words: tuple[str, ...]
    japanese_words: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


KINDS: Final = (
    Kind(
        "top",
        "トップス",
        "upper",
        _words(
            "top, shirt, blouse, t-shirt, tee, tshirt, sweater, pullover, jumper, sweatshirt, hoodie, hoody, polo, "
            "tank, tank top, camisole, cami, vest top, tunic, knit, knitwear, longsleeve, long sleeve, henley, "
            "turtleneck, crop top, undershirt, bodysuit, jersey, halter, tube top, bustier, twinset, "
            "polo shirt, garment upper body, dress shirt, work shirt, sleeveless"
        ),
        _words(
            "トップス, シャツ, Tシャツ, ブラウス, カットソー, ニット, セーター, スウェット, トレーナー, パーカー, "
            "パーカ, ポロ, タンクトップ, キャミソール, チュニック, プルオーバー, ベアトップ, 長袖, 半袖, "
            "上着類, 和トップス"
        ),
    ),
    Kind(
        "outerwear",
        "アウター",
        "upper",
        _words(
            "outerwear, outwear, outer, coat, jacket, blazer, cardigan, parka, cape, poncho, trench, anorak, "
            "windbreaker, gilet, overcoat, raincoat, puffer, bomber, fleece, waistcoat, outdoor waistcoat, "
            "suit jacket, sport coat, duffle, peacoat, down jacket, kimono, shacket, bolero, vest"
        ),
        _words(
            "アウター, コート, ジャケット, ブルゾン, ブレザー, カーディガン, ダウン, マウンテンパーカー, ジャンパー, "
            "ポンチョ, ケープ, ベスト, トレンチ, フリース, 羽織, 上着, ボレロ"
        ),
    ),
    Kind(
        "dress",
        "ワンピース",
        "whole",
        _words("dress, gown, sundress, shirtdress, shirt dress, maxi dress, mini dress, midi dress, pinafore"),
        _words("ワンピース, ドレス, シャツワンピース, ジャンパースカート"),
    ),
    Kind(
        "jumpsuit",
        "オールインワン",
        "whole",
        _words(
            "jumpsuit, jumpsuit/playsuit, playsuit, romper, overall, dungaree, dungarees, coverall, unitard, catsuit, "
            "outdoor overall, boilersuit, boiler suit, garment full body"
        ),
        _words("オールインワン, ジャンプスーツ, サロペット, オーバーオール, つなぎ, ロンパース, コンビネゾン"),
    ),
    Kind(
        "skirt",
        "スカート",
        "lower",
        _words("skirt, miniskirt, mini skirt, midi skirt, maxi skirt, culotte skirt, kilt, tutu, skort"),
        _words("スカート, ミニスカート"),
    ),
    Kind(
        "trousers",
        "パンツ",
        "lower",
        _words(
            "trouser, trousers, pant, pants, jean, jeans, denim pants, chino, chinos, slacks, legging, leggings, "
            "leggings/tights, jogger, sweatpants, sweatpant, cargo, cargos, culotte, palazzo, jegging, "
            "outdoor trousers, tracksuit bottom, bottoms, garment lower body, capri"
        ),
        _words(
            "パンツ, ズボン, ジーンズ, デニムパンツ, チノパン, スラックス, レギンス, スキニー, ワイドパンツ, "
            "ガウチョ, ジョガー, スウェットパンツ, ボトムス"
        ),
    ),
    Kind(
        "shorts",
        "ショートパンツ",
        "lower",
        _words("shorts, bermuda, bermudas, hot pants, short pants, half pants, cycling shorts"),
        _words("ショートパンツ, ショーツパンツ, 短パン, ハーフパンツ, バミューダ, キュロット"),
    ),
    Kind(
        "underwear",
        "下着",
        "worn",
        _words(
            "underwear, bra, brassiere, bralette, brief, briefs, panty, panties, knickers, thong, boxer, boxers, "
            "boxer shorts, lingerie, underwear bottom, underwear top, underwear body, underwear corset, corset, "
            "girdle, shapewear, bra extender, underdress, slip, thermal top, intimate, intimates, underwear tights"
        ),
        _words(
            "下着, インナー, ブラ, ブラジャー, ブラトップ, パンティ, ブリーフ, ボクサー, トランクス, ランジェリー, "
            "ガードル, ショーツ, コルセット, 肌着"
        ),
    ),
    Kind(
        "swimwear",
        "水着",
        "worn",
        _words(
            "swimwear, swimsuit, bikini, bikini top, bikini bottom, swimwear top, swimwear bottom, swimwear set, "
            "swim short, swim shorts, swim trunks, bathing suit, sarong, rash guard, one piece swimsuit, swim"
        ),
        _words("水着, ビキニ, スイムウェア, ラッシュガード, ワンピース水着, サーフパンツ"),
    ),
    Kind(
        "legwear",
        "レッグウェア",
        "worn",
        _words(
            "legwear, sock, socks, tight, tights, stocking, stockings, hosiery, pantyhose, leg warmer, knee sock, "
            "socks & tights"
        ),
        _words("レッグウェア, 靴下, ソックス, タイツ, ストッキング, レッグウォーマー, ハイソックス"),
    ),
    Kind(
        "nightwear",
        "ルームウェア",
        "whole",
        _words(
            "nightwear, pyjama, pajama, pyjama set, pyjama bottom, pyjama top, night gown, nightgown, nightdress, "
            "robe, bathrobe, dressing gown, sleepwear, loungewear, kigurumi, pyjama jumpsuit, pyjama jumpsuit/playsuit"
        ),
        _words("ルームウェア, パジャマ, ナイトウェア, 寝間着, ガウン, バスローブ, ネグリジェ, 部屋着"),
    ),
    Kind(
        "shoes",
        "シューズ",
        "feet",
        _words(
            "shoe, shoes, sneaker, boot, boots, sandal, heel, heels, high heels, loafer, flat, flats, pump, pumps, "
            "heeled sandal, ballerina, moccasin, slipper, wedge, mule, clog, bootie, flip flop, trainer, oxford, "
            "espadrille, footwear, flat shoe, slip on, brogue, stiletto, other shoe, court shoe, pre-walker"
        ),
        _words(
            "シューズ, 靴, スニーカー, ブーツ, サンダル, パンプス, ヒール, ローファー, バレエシューズ, スリッパ, "
            "ミュール, フラットシューズ"
        ),
    ),
    Kind(
        "bag",
        "バッグ",
        "carried",
        _words(
            "bag, handbag, purse, tote, tote bag, clutch, backpack, rucksack, shoulder bag, crossbody, cross-body bag, "
            "satchel, pouch, wallet, bumbag, waist bag, suitcase, luggage, weekend bag, shopper, hobo, duffel bag, "
            "card holder, coin purse, belt bag"
        ),
        _words(
            "バッグ, 鞄, かばん, カバン, ハンドバッグ, トート, リュック, リュックサック, バックパック, "
            "ショルダーバッグ, クラッチ, ポーチ, 財布, ウォレット, サコッシュ, スーツケース"
        ),
    ),
    Kind(
        "hat",
        "帽子",
        "head",
        _words(
            "hat, cap, beanie, beret, bonnet, fedora, bucket hat, straw hat, headwear, visor, turban, hat/beanie, "
            "hat/brim, cap/peaked, balaclava, snapback"
        ),
        _words("帽子, ハット, キャップ, ニット帽, ベレー, ベレー帽, ビーニー, キャスケット, 麦わら帽子"),
    ),
    Kind(
        "scarf",
        "マフラー・スカーフ",
        "worn",
        _words("scarf, scarves, shawl, stole, muffler, bandana, snood, foulard, pashmina, neck warmer, collar"),
        _words("スカーフ, マフラー, ストール, ショール, スヌード, バンダナ, ネックウォーマー"),
    ),
    Kind("belt", "ベルト", "worn", _words("belt, suspender, suspenders, braces"), _words("ベルト, サスペンダー")),
    Kind("gloves", "手袋", "worn", _words("glove, gloves, mitten"), _words("手袋, グローブ, ミトン")),
    Kind(
        "tie",
        "ネクタイ",
        "worn",
        _words("tie, necktie, bow tie, bowtie, cravat"),
        _words("ネクタイ, 蝶ネクタイ"),
    ),
    Kind(
        "jewellery",
        "アクセサリー",
        "worn",
        _words(
            "jewellery, jewelry, necklace, earring, ring, bracelet, brooch, anklet, bangle, pendant, watch, piercing, "
            "choker, cufflink"
        ),
        _words(
            "アクセサリー, ジュエリー, ネックレス, ピアス, イヤリング, 指輪, リング, ブレスレット, ブローチ, 腕時計, "
            "アンクレット, バングル"
        ),
    ),
    Kind(
        "eyewear",
        "メガネ",
        "worn",
        _words("eyewear, glasses, sunglasses, eyeglasses, spectacles, goggles"),
        _words("メガネ, 眼鏡, サングラス, めがね, アイウェア, ゴーグル"),
    ),
    Kind(
        "other",
        "その他",
        "worn",
        _words(
            "other, accessories set, hair clip, hair string, hair/alice band, alice band, hairband, headband, "
            "hair accessory, hair tie, scrunchie, umbrella, mobile case, phone case, blanket, towel, keychain, "
            "key ring, sleeping sack, soft toy, mug, cushion, fabric, costume, costumes, marker pen, side table, "
            "washing bag, "
            "waterbottle, water bottle, giftbox, sewing kit, dog wear, earphone case, headset, eye mask, mask, "
            "nipple covers, cosmetic, perfume"
        ),
        _words(
            "その他, 傘, ヘアアクセサリー, ヘアゴム, ヘアピン, ヘアバンド, カチューシャ, シュシュ, スマホケース, "
            "キーホルダー, タオル, ハンカチ, マスク, 雑貨, ブランケット"
        ),
    ),
)
"""Every kind, in the order of the numbers of the part ``kind``. Append only: stored vectors depend on the order."""

NAMES: Final = tuple(kind.name for kind in KINDS)
BY_NAME: Final = {kind.name: kind for kind in KINDS}

MAIN: Final = ("top", "outerwear", "dress", "jumpsuit", "skirt", "trousers", "shorts", "shoes")
"""The kinds of which somebody in the street wears two to five, and which ``find`` looks for on every person."""

_SEPARATORS: Final = re.compile(r"\s*(?:>|»|›|→|/|\||::|\\)\s*")
_ALTERNATIVES: Final = re.compile(r"\s*(?:&|\+|,|、|・|\band\b|\bor\b)\s*")
_QUALIFIERS: Final = re.compile(r"\b(?:with|for|without|incl)\b.*|\(.*?\)|(?:付き|つき|用)")


def read_category(category: str) -> str | None:
    """The kind that a shop's category names, or None where no word of it is known or its words disagree.

    A path (``>``, ``/`` or ``|`` between its steps) is read from its last step backwards. In a step the last known
    word decides, because both languages put the head noun last. Upper case, width and plural make no difference.

    >>> read_category("Women > Skirts > Midi"), read_category("T-shirts & Tops"), read_category("shirt dress")
    ('skirt', 'top', 'dress')
    >>> read_category("レディース/ワンピース水着"), read_category("Dresses and skirts"), read_category("Sale")
    ('swimwear', None, None)
    """
    text = _normalised(category)
    if text in _vocabulary():
        return _vocabulary()[text]
    for step in reversed(_SEPARATORS.split(text)):
        if step in _vocabulary():
            return _vocabulary()[step]
        kinds = {kind for part in _ALTERNATIVES.split(_QUALIFIERS.sub("", step)) if (kind := _head(part))}
        if kinds:
            return kinds.pop() if len(kinds) == 1 else None
    return None


def without_kinds(text: str) -> str:
    """A text with spaces in the place of all words for kinds.

    >>> without_kinds("red midi skirt, wool").split()
    ['red', ',', 'wool']
    """
    return _pattern().sub(" ", _normalised(text))


def _head(phrase: str) -> str | None:
    """The kind of the known word that ends last; of words that end together, the longest one's."""
    last = None
    for match in _pattern().finditer(phrase):
        last = match
    return None if last is None else _vocabulary()[last.group()]


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("_", " ").split())


def _plurals(word: str) -> list[str]:
    if word.endswith(("s", "x", "ch", "sh")):
        return [word + "es"]
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return [word[:-1] + "ies"]
    return [word + "s"]


@cache
def _vocabulary() -> dict[str, str]:
    """Normalised word -> kind; where a word stands under two kinds, the first row of the table wins."""
    words: dict[str, str] = {}
    for kind in KINDS:
        for word in (kind.name, *kind.english_words):
            for form in (word, *_plurals(word), word.replace("-", " ")):
                words.setdefault(_normalised(form), kind.name)
        for word in (kind.japanese, *kind.japanese_words):
            words.setdefault(_normalised(word), kind.name)
    return words


@cache
def _pattern() -> re.Pattern[str]:
    """Any known word: an English one as a whole word, a Japanese one anywhere; longer words are tried first."""
    words = [re.escape(word) for word in sorted(_vocabulary(), key=len, reverse=True)]
    english, other = (
        "|".join(word for word in words if word.isascii()),
        "|".join(word for word in words if not word.isascii()),
    )
    return re.compile(f"(?<![a-z])(?:{english})(?![a-z])|{other}")  # a word's first letter decides fast that way
