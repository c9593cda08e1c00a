"""The table of kinds, and reading a shop's category."""

import pytest

from osoroi.garments import BY_NAME, KINDS, read_category
from osoroi.garments.kinds import Kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_word_of_the_table_is_read_as_a_kind(kind: Kind) -> None:
    words = (kind.name, kind.japanese, *kind.english_words, *kind.japanese_words)
    assert {word: read_category(word) for word in words} == dict.fromkeys(words, kind.name)


def test_kinds_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(KINDS) == len({kind.japanese for kind in KINDS})


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        ("Women > Skirts > Midi", "skirt"),
        ("Ladies/Shirt dresses", "dress"),
        ("DRESS SHIRTS", "top"),
        ("T-shirts & Tops", "top"),
        ("Jackets, Coats", "outerwear"),
        ("Dresses & Skirts", None),
        ("Bikini bottoms", "swimwear"),
        ("Top with skirt", "top"),
        ("Weekend/Gym bag", "bag"),
        ("Cap/peaked", "hat"),
        ("Leggings/Tights", "trousers"),
        ("レディース > ワンピース水着", "swimwear"),
        ("デニムジャケット", "outerwear"),
        ("ニット帽", "hat"),
        ("ﾜﾝﾋﾟｰｽ", "dress"),
        ("ショートパンツ", "shorts"),
        ("New in", None),
        ("Skirting boards", None),
        ("", None),
        (" > / ", None),
    ],
)
def test_a_category_is_read_from_its_last_known_word(category: str, kind: str | None) -> None:
    assert read_category(category) == kind
