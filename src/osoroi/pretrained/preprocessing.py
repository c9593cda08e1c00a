"""The configuration files of other libraries -> one ``Fit`` and one ``Colors``, exactly as those libraries act on them.

``null`` means absent everywhere. What would need more than one picture of one size is refused by its name.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from math import floor
from typing import Any, Final

from osoroi.errors import BadRequest
from osoroi.pretrained.folder import SETTINGS_FILE, ModelFolder
from osoroi.pretrained.processors import PROCESSORS, Defaults
from osoroi.pretrained.refusals import fields, refused
from osoroi.pretrained.settings import Colors, PretrainedSettings, from_toml, rgb
from osoroi.records import Fit, ResamplingFilter

PILLOW: Final[tuple[ResamplingFilter, ...]] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Filters by Pillow's numbers, as `resample` has them."""

REFUSED: Final = {
    "do_thumbnail": "a thumbnail of a page",
    "do_crop_margin": "the margin of a page cut off by its content",
    "do_align_long_axis": "pages turned to their longer side",
    "do_image_splitting": "a photo split into tiles",
    "do_pan_and_scan": "a photo split into tiles",
    "do_split_image": "a photo split into tiles",
    "do_affine_transform": "a box of a person laid upright",
    "do_grayscale": "photos without colour",
}
TILING: Final = ("image_grid_pinpoints", "max_image_tiles", "min_tiles", "max_dynamic_patch", "crop_to_patches")
NAFLEX: Final = ("max_num_patches", "min_pixels", "max_pixels")

STYLES: Final = ("open_clip_config.json", "preprocess_cfg.json")


def read(folder: ModelFolder) -> PretrainedSettings | None:
    """The settings that the files of a folder state, or None where no file does. Raises BadRequest."""
    own = folder.path(SETTINGS_FILE)
    if own is not None:
        return from_toml(own)
    for name in ("preprocess_cfg.json", "open_clip_config.json"):
        stated = folder.json(name)
        if stated:
            with _followed(folder, name):
                inner = fields(stated, "preprocess_cfg", name) if "preprocess_cfg" in stated else stated
                model = fields(stated, "model_cfg", name) if "model_cfg" in stated else folder.config
                return open_clip(inner, model, name)
    stated = folder.json("preprocessor_config.json")
    if stated:
        with _followed(folder, "preprocessor_config.json"):
            return transformers(stated, folder.model_type, "preprocessor_config.json")
    nested = folder.json("processor_config.json").get("image_processor")
    if isinstance(nested, dict):
        with _followed(folder, "processor_config.json"):
            return transformers(nested, folder.model_type, "processor_config.json")
    pretrained = folder.config.get("pretrained_cfg")
    older = {"architecture", "input_size"} <= set(folder.config)  # as older versions of timm write it
    if pretrained is None and older:
        pretrained = folder.config
    with _followed(folder, "config.json"):
        return timm(pretrained, "config.json") if isinstance(pretrained, dict) else None


def _followed(folder: ModelFolder, name: str) -> AbstractContextManager[None]:
    return refused(folder.path(name) or name, "cannot be followed", "see its model card", BadRequest)


def transformers(stated: Mapping[str, Any], model_type: str, origin: str) -> PretrainedSettings:
    """The settings of an image processor of `transformers`; what it does not state is its class's default.

    >>> stated = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224}, "resample": 3}
    >>> transformers(stated, "clip", "").fit
    Fit(height=224, width=224, resize='shortest', to=(224, 0), resample='bicubic', fill=(0, 0, 0), placement='floor')
    """
    given = {name: value for name, value in stated.items() if value is not None}
    _refuse(given, origin)
    defaults = _defaults(given, model_type, origin)
    if defaults.jina:
        return _jina(given, origin)
    merged = {**defaults.fields, **given}
    fit = _crop_pct(merged, origin) if defaults.by_crop_pct else _fit(merged, defaults, origin)
    scale = merged.get("rescale_factor", 1 / 255) if merged.get("do_rescale", True) else 1.0
    colors = Colors(float(scale), bgr=bool(merged.get("do_flip_channel_order")))
    if merged.get("do_normalize", True):
        mean = _numbers(merged.get("image_mean", 0.0), origin, "image_mean")
        colors = Colors(float(scale), mean, _numbers(merged.get("image_std", 1.0), origin, "image_std"), colors.bgr)
    return PretrainedSettings(fit, colors, origin=origin)


def _defaults(given: Mapping[str, Any], model_type: str, origin: str) -> Defaults:
    """What the class of a processor does unless the settings say otherwise; the code of a repository is never run."""
    name = str(given.get("image_processor_type") or given.get("feature_extractor_type") or "")
    name = name.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
    for known in filter(None, (name, model_type)):
        if known in PROCESSORS:
            return PROCESSORS[known]
    if "auto_map" in given:
        raise BadRequest(
            f"{origin} leaves the pixels to code of its own (auto_map: {_text(given['auto_map'])}), which is not run",
            hint=f"state them in a file {SETTINGS_FILE} beside the model; `osoroi encoder make` writes one to edit",
        )
    if name and not {"size", "do_resize"} & set(given):
        raise BadRequest(
            f"{origin}: the image processor {name} is not known here, and its sizes are not stated",
            hint=f"state them in a file {SETTINGS_FILE} beside the model",
        )
    return PROCESSORS[""]


def _refuse(given: Mapping[str, Any], origin: str) -> None:
    """Raise BadRequest for what cannot be one picture of one size."""
    for name, what in REFUSED.items():
        if given.get(name):
            raise BadRequest(f"{origin}: {name} ({what}) cannot be followed", hint="use a model for whole photos")
    for name in TILING:
        if name in given:
            raise BadRequest(f"{origin}: {name} splits a photo into tiles", hint="use a model for whole photos")
    for name in NAFLEX:
        if name in given:
            raise BadRequest(
                f"{origin}: {name} belongs to a model that takes photos of any size in patches (NaFlex)",
                hint="use the same model with a fixed size, such as siglip2-base-patch16-224",
            )


def _fit(merged: Mapping[str, Any], defaults: Defaults, origin: str) -> Fit:
    """Resized to `size`, cut to `crop_size`, padded to `pad_size`, whichever of them are done."""
    resize, to = ("none", (0, 0))
    if merged.get("do_resize", True):
        resize, to = _size(merged.get("size"), defaults.square, origin)
    final = to if resize == "squash" else None
    placement = "floor"
    if merged.get("do_center_crop"):
        final = _sides(merged.get("crop_size"), origin, "crop_size")
    if merged.get("do_pad"):
        placement, final = "corner", _sides(merged.get("pad_size", merged.get("size")), origin, "pad_size")
    if final is None:
        raise BadRequest(
            f"{origin}: photos keep their proportions and are not cut, so the input has no fixed size",
            hint=f"state a size in a file {SETTINGS_FILE} beside the model",
        )
    fill = merged.get("fill", 0)
    color = tuple(int(each) for each in (fill if isinstance(fill, list) else [fill] * 3))
    return _checked(
        {"height": final[0], "width": final[1], "resize": resize, "to": to, "placement": placement, "fill": color},
        merged.get("resample", defaults.resample),
        origin,
    )


def _size(size: Any, square: bool, origin: str) -> tuple[str, tuple[int, int]]:
    """How to resize, of a `size` in any of its shapes.

    >>> [_size(each, False, "") for each in (224, [200, 100], {"shortest_edge": 224, "longest_edge": 448})]
    [('shortest', (224, 0)), ('squash', (200, 100)), ('shortest', (224, 448))]
    >>> _size({"max_height": 64, "max_width": 32}, False, ""), _size({"longest_edge": 64}, False, "")
    (('longest', (64, 32)), ('longest', (64, 64)))
    """
    if isinstance(size, int):
        return ("squash", (size, size)) if square else ("shortest", (size, 0))
    if isinstance(size, list) and len(size) in (1, 2):
        return "squash", (int(size[0]), int(size[-1]))
    given = {name: value for name, value in size.items() if value is not None} if isinstance(size, dict) else {}
    match given:
        case {"height": height, "width": width}:
            return "squash", (int(height), int(width))
        case {"shortest_edge": shortest, **rest}:
            return "shortest", (int(shortest), int(rest.get("longest_edge", 0)))
        case {"max_height": height, "max_width": width}:
            return "longest", (int(height), int(width))
        case {"longest_edge": longest}:
            return "longest", (int(longest), int(longest))
    raise BadRequest(f"{origin}: a size of {size!r} says no number of pixels", hint="see its model card")


def _sides(size: Any, origin: str, name: str) -> tuple[int, int]:
    """Height and width, of a `crop_size` or `pad_size` in any of its shapes."""
    resize, to = _size(size, True, f"{origin} ({name})")
    return (to[0], to[0]) if resize == "shortest" else to


def _crop_pct(merged: Mapping[str, Any], origin: str) -> Fit:
    """ConvNeXT's rule: below 384 pixels resized larger and cut, from there on squashed."""
    side = _size(merged.get("size"), False, origin)[1][0]
    fields: dict[str, Any] = {"height": side, "width": side, "resize": "squash", "to": (side, side)}
    if side < 384:
        fields |= {"resize": "shortest", "to": (int(side / merged.get("crop_pct", 224 / 256)), 0)}
    return _checked(fields, merged.get("resample", 3), origin)


def _jina(given: Mapping[str, Any], origin: str) -> PretrainedSettings:
    """The processor of jina-clip, whose code is known: as open_clip, with its own names."""
    stated = {"size": given.get("size", 224), "resize_mode": given.get("resize_mode", "shortest")}
    names = {"mean": "mean", "std": "std", "interpolation": "interpolation", "fill_color": "fill_color"}
    stated |= {name: given[theirs] for name, theirs in names.items() if theirs in given}
    return open_clip(stated, {}, origin)


def open_clip(stated: Mapping[str, Any], model: Mapping[str, Any], origin: str) -> PretrainedSettings:
    """The settings of open_clip's `preprocess_cfg`.

    >>> open_clip({"size": 224, "resize_mode": "squash", "mean": [0.5] * 3, "std": [0.5] * 3}, {}, "").fit.resize
    'squash'
    """
    given = {name: value for name, value in stated.items() if value is not None}
    vision = model.get("vision_cfg")
    size = given.get("size") or (vision.get("image_size") if isinstance(vision, dict) else None) or 224
    height, width = _sides(size, origin, "size")
    mode = given.get("resize_mode", "shortest")
    if mode not in ("squash", "shortest", "longest"):
        raise BadRequest(f"{origin}: no resize_mode is called {mode!r}", hint="there are squash, shortest and longest")
    if mode == "shortest" and height != width:
        raise BadRequest(f"{origin}: shortest with {height} x {width} pixels cannot be followed", hint="use squash")
    fill = given.get("fill_color", 0)
    fields = {
        "height": height, "width": width, "resize": mode, "placement": "round",
        "to": (height, 0) if mode == "shortest" else (height, width),
        "fill": tuple(fill) if isinstance(fill, list) else (int(fill),) * 3,
    }  # fmt: skip
    mean = _numbers(given.get("mean", OPENAI_MEAN), origin, "mean")
    std = _numbers(given.get("std", OPENAI_STD), origin, "std")
    return PretrainedSettings(
        _checked(fields, given.get("interpolation", "bicubic"), origin), Colors(1 / 255, mean, std), origin=origin
    )


OPENAI_MEAN: Final = [0.48145466, 0.4578275, 0.40821073]
OPENAI_STD: Final = [0.26862954, 0.26130258, 0.27577711]


def timm(stated: Mapping[str, Any], origin: str) -> PretrainedSettings:
    """The settings of timm's `pretrained_cfg` (its evaluation transform).

    >>> timm({"input_size": [3, 224, 224], "crop_pct": 0.9, "crop_mode": "center"}, "").fit.to
    (248, 0)
    """
    given = {name: value for name, value in stated.items() if value is not None}
    size = given.get("test_input_size") or given.get("input_size") or (3, 224, 224)
    if not isinstance(size, list | tuple) or len(size) != 3:
        raise BadRequest(f"{origin}: input_size {size!r} is not [3, height, width]", hint="see its model card")
    _, height, width = size
    ratio = given.get("test_crop_pct") or given.get("crop_pct") or 0.875
    to = (floor(height / ratio), floor(width / ratio))
    mean = _numbers(given.get("mean", [0.485, 0.456, 0.406]), origin, "mean")
    std = _numbers(given.get("std", [0.229, 0.224, 0.225]), origin, "std")
    mode = given.get("crop_mode", "center")
    resize = {"center": "shortest", "squash": "squash", "border": "longest"}.get(mode)
    if resize is None or (resize == "shortest" and height != width):
        raise BadRequest(f"{origin}: crop_mode {mode!r} of {height} x {width} cannot be followed", hint="see its card")
    fields = {
        "height": height, "width": width, "resize": resize, "placement": "round",
        "to": (to[0], 0) if resize == "shortest" else to,
        "fill": tuple(min(255, round(255 * each)) for each in mean) if resize == "longest" else (0, 0, 0),
    }  # fmt: skip
    return PretrainedSettings(
        _checked(fields, given.get("interpolation", "bicubic"), origin), Colors(1 / 255, mean, std), origin=origin
    )


def _checked(fields: dict[str, Any], resample: Any, origin: str) -> Fit:
    """The fit with these fields and a filter by its name or by Pillow's number. Raises BadRequest."""
    name = PILLOW[resample] if isinstance(resample, int) and 0 <= resample < len(PILLOW) else str(resample)
    try:
        return Fit.of(fields | {"resample": name.removeprefix("Resampling.").lower()})
    except (ValueError, TypeError) as error:
        raise BadRequest(f"{origin}: {error}", hint="see its model card") from error


def _numbers(value: Any, origin: str, name: str) -> tuple[float, float, float]:
    try:
        return rgb(value)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"{origin}: {name} has {error}", hint="see its model card") from error


def _text(value: Any) -> str:
    return ", ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
