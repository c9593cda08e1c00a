"""What is known of a brought backbone, as one value, and as a small TOML file that people can edit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from osoroi import files
from osoroi.errors import BadRequest
from osoroi.records import Fit

RGB = tuple[float, float, float]

TEMPLATE: Final = """\
# How the photos become the input of {model}, and which output is the vector.
# Edit what is wrong, then run `osoroi encoder make` again: this file goes before every other file of the folder.

# The input: {shape} in the file. Its height and width in pixels.
height = {side}
width = {side}

# squash: resized to `to` (height, width), proportions change.
# shortest: the shorter side becomes to[0]; the middle is cut out.
# longest: fits into `to` (height, width); `fill` (red, green, blue) lies around it.
resize = "squash"
to = [{side}, {side}]
resample = "bicubic"        # nearest, box, bilinear, hamming, bicubic, lanczos
fill = [0, 0, 0]
placement = "floor"         # of an odd pixel: floor (transformers), round (torchvision), or corner

# value = (colour * scale - mean) / std, for red, green, blue; colours are 0 to 255.
scale = 0.00392156862745098
mean = [0.48145466, 0.4578275, 0.40821073]
std = [0.26862954, 0.26130258, 0.27577711]
bgr = false                 # blue first

# The output, one of: {outputs}.
output = "{output}"
pool = "{pool}"               # none for one vector a photo; cls or mean for one a token; mean for maps
skip = 1                    # tokens before the patches (class and registers), left out of a mean

licence = "unknown"
source = "unknown"
"""


@dataclass(frozen=True)
class Colors:
    """How colours of 0 to 255 become what a model takes: ``(colour * scale - mean) / std``; ``bgr``: blue first."""

    scale: float = 1 / 255
    mean: RGB = (0.0, 0.0, 0.0)
    std: RGB = (1.0, 1.0, 1.0)
    bgr: bool = False


@dataclass(frozen=True)
class VectorOutput:
    """Which output is the vector, and how tokens or maps become one: ``none``, ``cls`` or ``mean``.

    ``skip`` is how many tokens before those of the patches (the class, registers) a mean leaves out.
    """

    name: str | None = None
    pool: str | None = None
    skip: int = 1


@dataclass(frozen=True)
class PretrainedSettings:
    """All that is needed to use a model as a backbone; ``origin`` is the file that says so."""

    fit: Fit
    colors: Colors
    output: VectorOutput = VectorOutput()
    origin: str = ""
    licence: str | None = None
    source: str | None = None


FIT_FIELDS: Final = ("height", "width", "resize", "to", "resample", "fill", "placement")
FIELDS: Final = (*FIT_FIELDS, "scale", "mean", "std", "bgr", "output", "pool", "skip", "licence", "source")


def from_toml(path: Path) -> PretrainedSettings:
    """The settings in a file that ``write_toml`` wrote and somebody edited. Raises BadRequest with the wrong key."""
    try:
        fields = files.from_toml(files.content(path))
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path} is no TOML file ({error})", hint="delete it to have it written again") from error
    return from_fields(fields, path.name)


def overridden(settings: PretrainedSettings, options: Mapping[str, Any], origin: str) -> PretrainedSettings:
    """The settings with some fields (named as in the TOML file) replaced."""
    if not options:
        return settings
    fields = _fields(settings) | dict(options)
    if "to" not in options and {"height", "width", "resize"} & set(options):
        fields["to"] = (fields["height"], 0 if fields["resize"] == "shortest" else fields["width"])
    return from_fields(fields, origin)


def rgb(value: Any) -> RGB:
    """Three numbers of one or three. Raises ValueError for others.

    >>> rgb(0.5), rgb([1, 2, 3])
    ((0.5, 0.5, 0.5), (1.0, 2.0, 3.0))
    """
    numbers = [value] * 3 if isinstance(value, int | float) else list(value)
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(isinstance(each, int | float) for each in numbers):
        raise ValueError(f"one or three numbers, not {value!r}")
    red, green, blue = (float(each) for each in numbers)
    return red, green, blue


def _fields(settings: PretrainedSettings) -> dict[str, Any]:
    fit, colors, output = settings.fit, settings.colors, settings.output
    return {name: getattr(fit, name) for name in FIT_FIELDS} | {
        "scale": colors.scale, "mean": colors.mean, "std": colors.std, "bgr": colors.bgr,
        "output": output.name, "pool": output.pool, "skip": output.skip,
        "licence": settings.licence, "source": settings.source,
    }  # fmt: skip


def from_fields(fields: Mapping[str, Any], origin: str) -> PretrainedSettings:
    """The settings of fields as the TOML file has them; ``origin`` names where they stand. Raises BadRequest."""
    strange = sorted(set(fields) - set(FIELDS))
    if strange:
        raise BadRequest(f"{origin}: no setting is called {strange[0]!r}", hint=f"there are {', '.join(FIELDS)}")
    try:
        fit = Fit.of({name: fields[name] for name in FIT_FIELDS if name in fields})
        colors = Colors(
            float(fields.get("scale", 1 / 255)), rgb(fields.get("mean", 0.0)), rgb(fields.get("std", 1.0)),
            bool(fields.get("bgr", False)),
        )  # fmt: skip
        output = VectorOutput(fields.get("output") or None, fields.get("pool") or None, int(fields.get("skip", 1)))
        if output.pool not in (None, "none", "cls", "mean"):
            raise ValueError(f"no pool is called {output.pool!r}; there are none, cls and mean")
    except (KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"{origin}: {error}", hint="correct that setting") from error
    return replace(
        PretrainedSettings(fit, colors, output, origin), licence=fields.get("licence"), source=fields.get("source")
    )
