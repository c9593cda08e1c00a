"""Small random models of the real architectures, as `transformers` saves them, give its vectors."""

from pathlib import Path

import numpy as np
import pytest

from brought import CLIP_MEAN, CLIP_STD, SIDE, clip_config, siglip_config, write_json
from osoroi.pretrained import check
from osoroi.pretrained.make import make

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

VIT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE,
    "patch_size": 16,
}  # fmt: skip
TEXT = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
DINO = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 73}, "crop_size": SIDE, "resample": 3}
CONVNEXT = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": SIDE}, "crop_pct": 0.875}


def clip(**more):
    return transformers.CLIPConfig(text_config=TEXT, vision_config=VIT, projection_dim=24, **more)


FAMILIES = {
    "CLIP": lambda: ("CLIPModel", clip(), clip_config()),
    "SigLIP": lambda: (
        "SiglipModel", transformers.SiglipConfig(text_config=TEXT, vision_config=VIT), siglip_config()
    ),
    "SigLIP2 of a fixed size": lambda: (
        "SiglipModel", transformers.SiglipConfig(text_config=TEXT, vision_config=VIT),
        siglip_config(resample=2, image_processor_type="SiglipImageProcessorFast"),
    ),
    "DINOv2": lambda: ("Dinov2Model", transformers.Dinov2Config(**VIT | {"mlp_ratio": 2}), DINO),
    "DINOv2 with registers": lambda: (
        "Dinov2WithRegistersModel", transformers.Dinov2WithRegistersConfig(**VIT | {"mlp_ratio": 2}), DINO
    ),
    "DINOv3": lambda: (
        "DINOv3ViTModel", transformers.DINOv3ViTConfig(**VIT | {"num_register_tokens": 4}),
        siglip_config(image_processor_type="DINOv3ViTImageProcessorFast", resample=2),
    ),
    "ConvNeXT": lambda: (
        "ConvNextModel",
        transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1]),
        CONVNEXT | {"image_mean": CLIP_MEAN, "image_std": CLIP_STD},
    ),
}  # fmt: skip


def saved(folder: Path, family: str) -> None:
    kind, config, processor = FAMILIES[family]()
    torch.manual_seed(11)
    getattr(transformers, kind)(config).eval().save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", processor)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_a_family_give_the_vectors_of_transformers(tmp_path, family):
    saved(tmp_path / "in", family)
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    assert made.checked.startswith("cosine ")
    assert float(made.checked.split()[1]) >= 0.999
    # DINOv3's processor exists with torchvision alone, so its model is checked on our pixels
    assert f"{'model' if family == 'DINOv3' else 'pixels and model'} by transformers" in made.checked
    vectors = made.encoder.encode_product(check.drawn_photos())[:, made.encoder.columns["deep"]]
    assert np.linalg.matrix_rank(vectors, tol=1e-3) == len(vectors)  # photos differ


def test_dinov3_gives_the_token_of_the_class_over_pixels_squashed_by_hand(tmp_path):
    saved(tmp_path / "in", "DINOv3")
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    model = transformers.AutoModel.from_pretrained(tmp_path / "in").eval()
    from brought import cosines, values

    photos = check.drawn_photos()
    given = np.stack([values(photo, (SIDE, SIDE), 0.5, 0.5, 2) for photo in photos])
    with torch.inference_mode():
        tokens = model(torch.from_numpy(given)).last_hidden_state[:, 0].numpy()
    encoder = made.encoder
    from osoroi import image

    crops = [image.crop(photo, None, encoder.preprocessing["street"]) for photo in photos]
    assert cosines(encoder.encode(crops)[:, encoder.columns["deep"]], tokens).min() >= 0.999


def test_a_sparse_configuration_with_code_of_its_own_is_read_by_its_family(tmp_path):
    """FashionSigLIP: `auto_map` in both files, and little else."""
    saved(tmp_path / "in", "SigLIP")
    stated = {
        "auto_map": {"AutoProcessor": "marqo_fashionSigLIP.Processor"},
        "image_processor_type": "SiglipImageProcessor",
    }
    size = {"size": {"height": SIDE, "width": SIDE}}
    write_json(tmp_path / "in" / "preprocessor_config.json", stated | size)
    made = make(tmp_path / "in", tmp_path / "out.onnx")
    assert float(made.checked.split()[1]) >= 0.999
