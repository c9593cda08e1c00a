"""A recipe of how a table is read now, for somebody to edit."""

import json
from collections.abc import Mapping

from osoroi.data.readers.layout import Layout
from osoroi.data.readers.table_recipe import TableRecipe


def draft(layout: Layout) -> str:
    """The recipe as TOML: it reads the table as it is read without one, as far as there is no question."""
    if layout.recipe != TableRecipe():
        return "# The table is read by a recipe already; this is what it holds.\n" + written(layout.recipe)
    roles = layout.roles
    lines = [f"# {note}" for note in layout.notes] + [f"# QUESTION: {question}" for question in layout.undecided]
    lines += ["", "[columns] # ours = theirs"]
    columns: dict[str, str | list[str]] = {**roles.columns}
    if roles.photos:
        columns["photo"] = list(roles.photos)
    lines += entries(columns)
    lists = {name: column.separator or "," for name, column in layout.columns.items() if column.kind == "list"}
    lines += ["", "[lists] # column = the sign between values", *entries(lists)] if lists else []
    if layout.by == "id":
        lines += ["", "[variants] # lines of one product", *entries({"by": roles.columns["product_id"]})]
        lines += entries({"lists": sorted(layout.lists)})
    elif layout.by == "photo":
        by = "+".join([*roles.photos[:1], *(roles.columns[role] for role in ("title",) if role in roles.columns)])
        lines += ["", "[variants] # lines of one product", *entries({"by": by, "lists": sorted(layout.lists)})]
    prices = {"decimal": layout.prices.decided(), "currency": layout.prices.currency}
    filled = {name: value for name, value in prices.items() if value}
    lines += ["", "[prices] # decimal: the sign before a fraction; currency: what $, ¥ or no sign means"]
    lines += (
        entries(filled) if prices["decimal"] else [f"# {line}" for line in entries({"decimal": ".", "currency": "EUR"})]
    )
    table = {"encoding": layout.source.encoding} if layout.source.suffix in (".csv", ".tsv", ".txt", ".tab") else {}
    lines += ["", "[table]", *entries(table)] if table else []
    return "\n".join(lines).lstrip("\n") + "\n"


def written(recipe: TableRecipe) -> str:
    """A recipe as TOML."""
    lines: list[str] = []
    for part, held in vars(recipe).items():
        plain = {name: value for name, value in held.items() if not isinstance(value, dict)}
        if plain:
            lines += [f"[{part}]", *entries(plain), ""]
        for name, value in held.items():
            if isinstance(value, dict):
                lines += [f"[{part}.{key(name)}]", *entries(value), ""]
    return "\n".join(lines)


def entries(values: Mapping[str, object]) -> list[str]:
    """Lines of TOML, whose strings and arrays are those of JSON."""
    return [f"{key(name)} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def key(name: str) -> str:
    """A key of TOML, in quotes where it needs them.

    >>> key("photo"), key("Image Src")
    ('photo', '"Image Src"')
    """
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else json.dumps(name, ensure_ascii=False)
