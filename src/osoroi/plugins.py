"""What other packages add: readers, backbones, losses and trackers, registered as entry points.

::

    [project.entry-points."osoroi.losses"]
    circle = "my_package.losses:circle"

A name of ours wins over the same name of a plugin. ``docs/extending.md`` has an example of each.
"""

from importlib.metadata import entry_points
from typing import Any

from osoroi.errors import BadRequest

GROUPS = ("readers", "backbones", "losses", "trackers")
"""What can be added; entry points stand in the group ``osoroi.`` and this."""


def names(group: str) -> tuple[str, ...]:
    """Names that installed packages register in a group, in alphabetical order."""
    assert group in GROUPS
    return tuple(sorted({each.name for each in entry_points(group=f"osoroi.{group}")}))


def load(group: str, name: str) -> Any:
    """What a package registers under a name; raises BadRequest where none does, or where it cannot be imported."""
    for each in entry_points(group=f"osoroi.{group}"):
        if each.name == name:
            try:
                return each.load()
            except (ImportError, AttributeError) as error:
                raise BadRequest(
                    f"{name!r} of osoroi.{group}, {each.value}, cannot be imported ({error})",
                    hint="mend or remove the package that registers it",
                ) from error
    raise BadRequest(f"no package registers {name!r} in osoroi.{group}", hint="install the package that has it")
