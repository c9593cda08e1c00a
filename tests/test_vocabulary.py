"""No public name contains a word that the field does not use, but those that `vocabulary_debt.txt` still lists.

A name is that of a module, class, function, parameter, class attribute or command-line option in `src/osoroi`. The
list of exceptions may only shrink: a name that is gone has to leave it, by `python tests/test_vocabulary.py`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from osoroi.cli import COMMANDS, main

SOURCE = Path(__file__).parents[1] / "src" / "osoroi"
DEBT = Path(__file__).with_name("vocabulary_debt.txt")

INSTEAD = {
    "ask asked asking asks": "query, search, request",
    "question questions": "query, queries",
    "seen look looks looked looking": "embed, read, compute; feature cache; saliency",
    "held holding": "stored, resident, held-out in full",
    "told tells": "state, report, parameter",
    "found": "results, matches, or the name of what it is",
    "kept": "retained, cache, mask",
    "trunk trunks": "backbone",
    "probe probes": "foreground head",
    "spoil spoils spoilt spoiled spoiling": "corrupt, corruption",
    "wear wears worn": "augment, augmentation; street",
    "blind": "nuisance weight",
    "relit": "color constancy, gray-world",
    "siblings sibling": "hard negatives, same-design colors",
    "pure": "single-category batches",
    "hinge": "triplet_margin",
    "shower": "view loader",
    "guard guards gates": "middleware, limits",
    "truth truths": "ground truth, schema, relevant, store",
    "mirror mirrors": "memory index",
    "wholeness": "truncation",
    "likeness": "perceptual hash",
    "profiles": "ICC",
    "preparing": "dataset, preprocessing",
    "flips": "sign-flip test",
    "dealt deal deals": "split, sample",
    "eye eyes": "encoder, embedder",
    "worlds": "domain",
}
"""Words that no name contains -> what to write."""

WORDS = {word: write for words, write in INSTEAD.items() for word in words.split()}
TERMS = {"held_out": "heldout", "NotFound": "Missing", "SIGN_FLIPS": "SIGNS", "LookBench": "Benchmark"}
"""Terms of the field that contain such a word -> a stand-in without it."""


def words_in(name: str) -> list[str]:
    """The words of a name in snake_case or CamelCase, in lower case.

    >>> words_in("ForegroundProbe"), words_in("seen_of_v2")
    (['foreground', 'probe'], ['seen', 'of', 'v', '2'])
    """
    for term, without in TERMS.items():
        name = name.replace(term, without)
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def public(name: str) -> bool:
    return not name.startswith("_")


def names_of(module: str, tree: ast.Module) -> Iterator[str]:
    """Dotted public names that a module defines: classes, functions, their parameters, constants and fields."""
    scopes: list[tuple[str, ast.AST]] = [(module, tree)]
    while scopes:
        scope, node = scopes.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef) and public(child.name):
                yield f"{scope}.{child.name}"
                scopes.append((f"{scope}.{child.name}", child))
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and (
                public(child.name) or child.name == "__init__"
            ):
                yield f"{scope}.{child.name}"
                yield from (f"{scope}.{child.name}({name})" for name in parameters(child.args) if public(name))
            elif isinstance(child, ast.Assign | ast.AnnAssign):
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                yield from (
                    f"{scope}.{target.id}" for target in targets if isinstance(target, ast.Name) and public(target.id)
                )


def parameters(arguments: ast.arguments) -> Iterator[str]:
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if one is not None:
            yield one.arg


def names_in_source() -> Iterator[str]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("osoroi", *path.relative_to(SOURCE).with_suffix("").parts)
        module = ".".join(parts).removesuffix(".__init__")
        if all(public(part) or part == "__init__" for part in parts):
            yield module
            yield from names_of(module, ast.parse(path.read_text(encoding="utf-8")))


def options() -> Iterator[str]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            yield from (f"osoroi {name} {option}" for option in (*parameter.opts, *parameter.secondary_opts))


def last_part(name: str) -> str:
    """What a name adds to the scope it stands in; the scope has an entry of its own.

    >>> last_part("osoroi.model.heads.fit(probe)"), last_part("osoroi train --trunk")
    ('probe', '--trunk')
    """
    return re.split(r"[.(\s]", name.rstrip(")"))[-1]


def entry(name: str) -> str:
    """How the list of exceptions calls a name: by its package, so that a name may move within it.

    >>> entry("osoroi.model.heads.fit(probe)"), entry("osoroi train --trunk"), entry("osoroi.search.asked")
    ('osoroi.model probe', 'osoroi train --trunk', 'osoroi.search asked')
    """
    return name if " " in name else f"{'.'.join(re.split(r'[.(]', name)[:2])} {last_part(name)}"


def offending() -> dict[str, str]:
    """Entry of the list -> one name that it stands for."""
    names = (*names_in_source(), *options())
    return {entry(name): name for name in names if set(words_in(last_part(name))) & WORDS.keys()}


def debt() -> list[str]:
    lines = DEBT.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_no_public_name_contains_a_word_of_our_own() -> None:
    new = [name for key, name in sorted(offending().items()) if key not in debt()]
    advice = [f"{name}: write {WORDS[word]}" for name in new for word in words_in(last_part(name)) if word in WORDS]
    assert not new, "\n".join(advice)


def test_the_list_of_exceptions_only_shrinks() -> None:
    listed = debt()
    assert listed == sorted(set(listed))
    gone = sorted(set(listed) - offending().keys())
    assert not gone, f"run `python tests/test_vocabulary.py` to remove from {DEBT.name}: {gone}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def fit(probe, _trunk): ...", ["m.fit", "m.fit(probe)"]),
        ("class Worn:\n    told: int = 1\n    def _seen(self): ...", ["m.Worn", "m.Worn.told"]),
        ("async def ask(*, held, **found): ...", ["m.ask", "m.ask(held)", "m.ask(found)"]),
        ("SPOILT = 1\n_KEPT = 2", ["m.SPOILT"]),
    ],
)
def test_every_kind_of_public_name_is_read(code: str, expected: list[str]) -> None:
    assert sorted(names_of("m", ast.parse(code))) == sorted(expected)
    assert all(set(words_in(last_part(name))) & WORDS.keys() or name == "m.fit" for name in expected)


if __name__ == "__main__":
    head = "# Public names that still contain a word of our own. This list may only shrink: tests/test_vocabulary.py.\n"
    remaining = [line for line in debt() if line in offending()]
    DEBT.write_text(head + "".join(f"{line}\n" for line in remaining), encoding="utf-8")
