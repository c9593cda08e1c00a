"""The keys of a plan file with their types, and what reads entries: bases, folders, numbers as text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from osoroi.errors import BadRequest

TEXTS, NUMBERS, TABLE = "a list of texts", "a list of whole numbers", "a table"
PAIRS = "a list of pairs of texts"

PLAN: Mapping[str, tuple[str, bool]] = {
    "title": ("a text", False),
    "reference": ("a text", False),
    "validation_share": ("a number", False),
    "export": ("true or false", False),
    "licence": ("a text", False),
    "rows": (TEXTS, False),
    "columns": (TEXTS, False),
    "picture": (TEXTS, False),
    "comparisons": (PAIRS, False),
    "search": (TABLE, False),
    "evaluation": (TABLE, True),
    "system": ("a list of tables", True),
}
"""Key of a plan -> what it is, and whether it must be there."""

EVALUATION: Mapping[str, tuple[str, bool]] = {
    "dataset": ("a text", True),
    "split": ("a text", False),
    "gallery": (TEXTS, False),
    "distractors": (TEXTS, False),
    "within": ("true or false", False),
    "corrupt": ("a list of true and false", False),
    "skip_unanswerable": ("true or false", False),
    "sample_detail": ("true or false", False),
}

SYSTEM: Mapping[str, tuple[str, bool]] = {
    "name": ("a text", True),
    "label": ("a text", False),
    "dataset": ("a text", False),
    "recipe": ("a text", False),
    "set": (TEXTS, False),
    "backbone": ("a text", False),
    "foreground": ("a text", False),
    "seeds": (NUMBERS, False),
    "search": (TABLE, False),
    "encoder": ("a text", False),
    "by_category": (TEXTS, False),
    "evaluations": (TEXTS, True),
}

FILLED = ("evaluation", "system", "seeds", "corrupt")
"""Keys that are not empty where they are there."""

FILE_NAME = re.compile(r"\w[\w.-]*")
"""Names of files that are in no other folder."""


def check(entry: object, known: Mapping[str, tuple[str, bool]], where: str) -> None:
    """Raise BadRequest for a key that is not known or not there, and for a value of another type or an empty one."""
    if not isinstance(entry, Mapping):
        raise BadRequest(f"{where} = {entry!r:.80} is not a table", hint=f"its keys: {', '.join(known)}")
    strange = sorted(set(entry) - set(known))
    if strange:
        raise BadRequest(f"{where} has no key {', '.join(map(repr, strange))}", hint=f"its keys: {', '.join(known)}")
    for key, (kind, needed) in known.items():
        if key not in entry:
            if needed:
                raise BadRequest(f"{where} lacks {key!r}", hint=f"{key} is {kind}")
        elif not is_a(entry[key], kind):
            raise BadRequest(f"{where}: {key} = {entry[key]!r:.80} is not {kind}", hint=f"{key} is {kind}")
        elif key in FILLED and not entry[key]:
            raise BadRequest(f"{where}: {key} is empty", hint=f"{key} is {kind}, of one at least")


def file_name(name: object, where: str) -> None:
    """Raise BadRequest for a name that is none of a file: systems and evaluations name files.

    >>> file_name("deep-2.b", "system")
    >>> file_name("../evil", "system")
    Traceback (most recent call last):
    osoroi.errors.BadRequest: system: the name '../evil' is none of a file; use letters, digits, -, _ and .
    """
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        raise BadRequest(f"{where}: the name {name!r:.80} is none of a file", hint="use letters, digits, -, _ and .")


def is_a(value: object, kind: str) -> bool:
    """Whether a value of TOML is what a key takes.

    >>> is_a([1, 2], NUMBERS), is_a([True], NUMBERS), is_a(0.1, "a number")
    (True, False, True)
    >>> is_a([["ours", "both"]], PAIRS), is_a(["ours", "both"], PAIRS), is_a([["ours"]], PAIRS)
    (True, False, False)
    """
    if isinstance(value, list) and kind == PAIRS:
        return all(is_a(pair, TEXTS) and len(pair) == 2 for pair in value)
    if isinstance(value, list) and kind.startswith("a list"):
        inner = {TEXTS: str, NUMBERS: int, "a list of true and false": bool}.get(kind, dict)
        return all(isinstance(one, inner) and (inner is bool or not isinstance(one, bool)) for one in value)
    kinds: dict[str, type | tuple[type, ...]] = {
        "a text": str,
        "a number": (int, float),
        "true or false": bool,
        TABLE: dict,
    }
    return kind in kinds and isinstance(value, kinds[kind]) and (kind == "true or false" or not isinstance(value, bool))


def by_name(entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Entries by their names; raises BadRequest where two have one."""
    named: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        name = str(entry.get("name"))
        if name in named:
            raise BadRequest(f"two systems are called {name!r}", hint="give each a name of its own")
        named[name] = entry
    return named


def with_base(entry: Mapping[str, Any], written: Mapping[str, Mapping[str, Any]], depth: int = 0) -> dict[str, Any]:
    """An entry with what it takes from its base; what both ``set`` stands one after the other."""
    own = dict(entry)
    if "base" not in own:
        return own
    name = own.pop("base")
    if not isinstance(name, str):
        raise BadRequest(f"system {own.get('name')!r}: base = {name!r:.80} is not a text", hint="name one system")
    if name not in written or depth == len(written):
        problem = f"names the base {name!r}, which is not there" if name not in written else "is its own base"
        raise BadRequest(f"system {own.get('name')!r} {problem}", hint=f"there is {', '.join(written)}")
    base = with_base(written[name], written, depth + 1)
    inherited = {key: value for key, value in base.items() if key != "label"}
    return inherited | own | {"set": [*base.get("set", ()), *own.get("set", ())]}


def filled(value: Any, folders: Mapping[str, str]) -> Any:
    """The same with every text's ``{name}`` filled in; raises BadRequest for a folder that nobody named."""
    if isinstance(value, dict):
        return {key: filled(each, folders) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, folders) for each in value]
    if not isinstance(value, str):
        return value
    try:
        return value.format(**folders)
    except (KeyError, IndexError, ValueError) as error:
        name = error.args[0] if isinstance(error, KeyError) else "NAME"
        raise BadRequest(f"{value!r} needs a folder {error}", hint=f"name it: `folder` {name}=PATH") from error


def text_of(value: object) -> str:
    """A value as `--set` takes it.

    >>> text_of(True), text_of(0.0001), text_of(3)
    ('yes', '0.0001', '3')
    """
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
