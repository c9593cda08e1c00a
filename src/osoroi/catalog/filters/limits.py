"""What one filter may cost: the one rule for every catalog, the command line and the service.

Every condition is a pass over the products that it cannot look up, so their number is bounded; those on text that
differs from product to product are bounded more tightly. What passes is bounded once more while it runs, by the steps
that the database takes (``ReadTransaction.limited``).
"""

from typing import Final

from osoroi.catalog.filters.nodes import Among, Compare, Condition, Every, Filter, Known, Not, Some
from osoroi.errors import BadFilter

LENGTH: Final = 10_000
"""Characters in a filter."""

CONDITIONS: Final = 100
"""Conditions in a filter."""

LONG_TEXT: Final = frozenset({"product_id", "title", "url"})
"""Columns whose text differs between nearly all products: a condition on one reads it of every product."""

LONG_CONDITIONS: Final = 10
"""Conditions on those columns in a filter."""

VALUES: Final = 2_000
"""Values in a filter, those of every ``in`` together."""

NESTING: Final = 30
"""Brackets inside brackets."""


def require_modest(filter_: Filter) -> Filter:
    """The same filter; raises BadFilter for one above a limit.

    >>> require_modest(Every(tuple(Compare("title", "=", str(number)) for number in range(11))))
    Traceback (most recent call last):
    osoroi.errors.BadFilter: the filter has more than 10 conditions on product_id, title, url, which read every \
product; name many values with one 'in'
    """
    conditions = _conditions(filter_, 0)
    if len(conditions) > CONDITIONS:
        raise BadFilter(f"the filter has {len(conditions)} conditions, more than the {CONDITIONS} allowed")
    values = sum(len(values_of(condition)) for condition in conditions)
    if values > VALUES:
        raise BadFilter(f"the filter has {values:,} values, more than the {VALUES:,} allowed")
    if sum(condition.column in LONG_TEXT for condition in conditions) > LONG_CONDITIONS:
        raise BadFilter(
            f"the filter has more than {LONG_CONDITIONS} conditions on {', '.join(sorted(LONG_TEXT))}, "
            "which read every product",
            hint="name many values with one 'in'",
        )
    return filter_


def _conditions(filter_: Filter, depth: int) -> list[Condition]:
    if depth > NESTING:
        raise BadFilter(f"the filter is nested more than {NESTING} levels deep")
    match filter_:
        case Not():
            return _conditions(filter_.of, depth + 1)
        case Every() | Some():
            return [condition for part in filter_.of for condition in _conditions(part, depth + 1)]
    return [filter_]


def values_of(condition: Condition) -> tuple[Known, ...]:
    """The values that a condition compares with."""
    match condition:
        case Compare():
            return (condition.value,)
        case Among():
            return condition.values
    return ()
