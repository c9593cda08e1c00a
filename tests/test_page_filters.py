"""The columns to filter by on the page: sizes from small to large, and dates that are no check boxes."""

from osoroi.catalog import Facet
from osoroi.catalog.filters import PREFIX
from osoroi.catalog.protocol import Choice
from osoroi.server.pages import view_model
from osoroi.server.pages.i18n import words
from osoroi.server.pages.url_state import UrlState

SINCE = ("2026-01-01T09:00:00+00:00", "2026-02-03T09:00:00+00:00")


def controls(column: str, *values: str, **choices: tuple[str, ...]) -> dict[str, list[str]]:
    """What a page offers for one column, whose values come with the most frequent first."""
    facet = Facet(column, "choice", tuple(Choice(value, 9 - place) for place, value in enumerate(values)))
    chosen = {PREFIX + name: wanted for name, wanted in choices.items()}
    shown = view_model.filters([facet], UrlState(choices=chosen), words("en"), "en")
    return {control.name: [option.value for option in control.options] for control in shown}


def test_sizes_stand_from_small_to_large_with_their_own_counts() -> None:
    assert controls(PREFIX + "size", "L", "M", "S", "XXL", "XS") == {"size": ["XS", "S", "M", "L", "XXL"]}
    assert controls(PREFIX + "size", "40", "9", "36.5") == {"size": ["9", "36.5", "40"]}
    assert controls(PREFIX + "colour", "red", "blue", "M") == {"colour": ["red", "blue", "M"]}
    facet = Facet(PREFIX + "size", "choice", (Choice("L", 7), Choice("S", 2)))
    options = view_model.filters([facet], UrlState(), words("en"), "en")[0].options
    assert [(option.value, option.count) for option in options] == [("S", 2), ("L", 7)]


def test_letters_stand_before_numbers_and_one_size_last() -> None:
    assert view_model.ordered_options(["Free", "38", "2XL", "XL", "xs", "XXS", "M"]) == [
        "XXS",
        "xs",
        "M",
        "XL",
        "2XL",
        "38",
        "Free",
    ]


def test_dates_are_no_boxes_to_tick_unless_one_is_chosen() -> None:
    assert controls(PREFIX + "since", *SINCE) == {}
    assert controls(PREFIX + "since", *SINCE, since=SINCE[:1]) == {"since": list(SINCE)}
    assert controls(PREFIX + "note", "2026-01-01", "soon") == {"note": ["2026-01-01", "soon"]}


def test_brands_and_categories_keep_the_most_frequent_first() -> None:
    assert controls("brand", "M", "S") == {"brand": ["M", "S"]}
