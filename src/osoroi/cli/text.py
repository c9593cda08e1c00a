"""Text that several commands print alike."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as columns of equal width.

    >>> print(aligned([["a", "long", "c"], ["wide", "b", "d"]]))
    a     long  c
    wide  b     d
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
