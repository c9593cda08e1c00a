"""What the image processors of `transformers` do unless their file says otherwise; many files state only what differs.

Known by the name of the class, and by the type of a model for repositories that bring code of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HALF = [0.5, 0.5, 0.5]
BILINEAR, BICUBIC = 2, 3


@dataclass(frozen=True)
class Defaults:
    """The defaults of a class: its fields, what a `size` of one number means, its filter, and rules of its own."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    square: bool = True
    resample: int = BILINEAR
    by_crop_pct: bool = False
    jina: bool = False


def _squashed(side: int, mean: list[float], std: list[float], resample: int) -> Defaults:
    fields = {"size": {"height": side, "width": side}, "image_mean": mean, "image_std": std}
    return Defaults(fields, resample=resample)


_CUT: Final = Defaults(
    {
        "size": {"shortest_edge": 224}, "crop_size": 224, "do_center_crop": True,
        "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
    },
    square=False, resample=BICUBIC,
)  # fmt: skip

_SIGLIP: Final = _squashed(224, HALF, HALF, BICUBIC)

_VIT: Final = _squashed(224, HALF, HALF, BILINEAR)

_DINOV3: Final = _squashed(224, IMAGENET_MEAN, IMAGENET_STD, BILINEAR)

_CONVNEXT: Final = Defaults(
    {"size": {"shortest_edge": 384}, "image_mean": HALF, "image_std": HALF},
    square=False, resample=BICUBIC, by_crop_pct=True,
)  # fmt: skip

_MOBILE: Final = Defaults(
    {
        "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True,
        "image_mean": HALF, "image_std": HALF,
    },
    square=False, resample=BILINEAR,
)  # fmt: skip

_MOBILEVIT: Final = Defaults(
    {
        "size": {"shortest_edge": 224}, "crop_size": {"height": 256, "width": 256}, "do_center_crop": True,
        "do_normalize": False, "do_flip_channel_order": True,
    },
    square=False, resample=BICUBIC,
)  # fmt: skip

_DEIT: Final = Defaults(
    {
        "size": {"height": 256, "width": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True,
        "image_mean": HALF, "image_std": HALF,
    },
    resample=BICUBIC,
)  # fmt: skip

PROCESSORS: Final[Mapping[str, Defaults]] = {
    "": Defaults(),
    "CLIPImageProcessor": _CUT,
    "ChineseCLIPImageProcessor": _CUT,
    "BitImageProcessor": _CUT,
    "SiglipImageProcessor": _SIGLIP,
    "ViTImageProcessor": _VIT,
    "DINOv3ViTImageProcessor": _DINOV3,
    "ConvNextImageProcessor": _CONVNEXT,
    "BlipImageProcessor": _squashed(384, CLIP_MEAN, CLIP_STD, BICUBIC),
    "DeiTImageProcessor": _DEIT,
    "BeitImageProcessor": _squashed(224, HALF, HALF, BICUBIC),
    "PvtImageProcessor": _squashed(224, IMAGENET_MEAN, IMAGENET_STD, BICUBIC),
    "MobileNetV1ImageProcessor": _MOBILE,
    "MobileNetV2ImageProcessor": _MOBILE,
    "MobileViTImageProcessor": _MOBILEVIT,
    "JinaCLIPImageProcessor": Defaults(jina=True),
    # by the type of the model, where the file names no class that is known
    "clip": _CUT,
    "chinese_clip": _CUT,
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "clip_vision_model": _CUT,
    "vit": _VIT,
    "dinov2": _CUT,
    "dinov2_with_registers": _CUT,
    "dinov3_vit": _DINOV3,
    "dinov3_convnext": _DINOV3,
    "convnext": _CONVNEXT,
    "convnextv2": _CONVNEXT,
    "jina_clip": Defaults(jina=True),
}
