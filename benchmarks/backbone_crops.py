"""What the second input of a pretrained backbone costs, and how far a JPEG may be decoded smaller for it.

    python benchmarks/backbone_crops.py VIT_TINY.safetensors PHOTO.jpg ...

For each photo: CPU milliseconds to decode and cut, and the cosine of a real ViT's vector with that of the photo decoded
whole, as its own library would do it. Variants: our input alone; both inputs, the JPEG decoded at a scale that leaves
1 or 2 times the pixels of the backbone's input; decoded whole.
"""

import io
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from osoroi import image
from osoroi.image import cropping, fitting
from osoroi.model.backbones import build
from osoroi.records import Fit, Preprocessing

FIT = Fit(224, 224, "shortest", (249, 0), "bicubic", placement="round")
ROUNDS = 5


def large(path: Path) -> bytes:
    """A JPEG of at least 800 pixels on the shorter side; smaller photos are enlarged."""
    picture = Image.open(path).convert("RGB")
    times = max(1.0, 800 / min(picture.size))
    file = io.BytesIO()
    picture.resize((round(picture.width * times), round(picture.height * times)), 3).save(file, "JPEG", quality=92)
    return file.getvalue()


def milliseconds(photo: bytes, preprocessing: Preprocessing) -> float:
    """Median CPU time of a crop."""
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        image.crop(photo, None, preprocessing)
        spent.append(time.process_time() - start)
    return 1e3 * float(np.median(spent))


def main(weights: Path, photos: list[Path]) -> None:
    """Print the table."""
    network = build("vit_tiny_patch16_224", weights).eval()

    def vector(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            maps = network(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255)
        mean = maps.last.mean((2, 3))[0].numpy()
        return mean / np.linalg.norm(mean)

    both = Preprocessing(192, 192, fit=FIT)
    rows: dict[str, list[tuple[float, float]]] = {}
    for path in photos:
        data = large(path)
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        exact = vector(fitting.fit(picture, (0, 0, *picture.size), FIT))
        rows.setdefault("our input alone", []).append((milliseconds(data, Preprocessing(192, 192)), 1.0))
        for gap in (1.0, 2.0, 1e9):
            cropping.REFERENCE_GAP = gap
            pixels = image.crop(data, None, both)[192:, :224]
            name = f"both, at least {gap:g} times the pixels" if gap < 1e9 else "both, decoded whole"
            rows.setdefault(name, []).append((milliseconds(data, both), float(vector(pixels) @ exact)))
    print(f"{len(photos)} photos; CPU ms, lowest and mean cosine")
    for name, values in rows.items():
        spent, cosines = np.array(values).T
        print(f"{name:38} {np.median(spent):6.1f} {cosines.min():.5f} {cosines.mean():.5f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
