"""A name of a class or type stands for one thing.

Types of one package that nothing outside names count too: somebody who searches for a word finds all of them.
"""

import ast
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "osoroi"


def types_in(tree: ast.Module) -> list[str]:
    """Public classes and aliases of types at the top of a module.

    >>> types_in(ast.parse("class Box: ...\\nclass _Own: ...\\nPhoto = str | bytes\\nSIZE = 3\\nLIMITS: int = 4"))
    ['Box', 'Photo']
    """
    names = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [each.id for each in node.targets if isinstance(each, ast.Name)]
    return [name for name in names if name[0].isupper() and not name.isupper()]


def test_a_type_has_a_name_of_its_own() -> None:
    modules = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        for name in types_in(ast.parse(path.read_text(encoding="utf-8"))):
            modules[name].add(path.relative_to(SOURCE).as_posix())
    assert len(modules) > 300
    assert {name: sorted(paths) for name, paths in modules.items() if len(paths) > 1} == {}
