"""What tests of the part `kind` share."""

import numpy as np

import osoroi
from osoroi.encoder import KIND, Encoder
from osoroi.garments.kinds import NAMES


def photo_of(red: int) -> np.ndarray:
    photo = np.full((240, 200, 3), 250, np.uint8)
    photo[40:200, 50:150] = (red, 30, 90)
    return photo


def kind_in(encoder: Encoder, vector: np.ndarray) -> dict[str, float]:
    chances = vector[encoder.columns[KIND]] ** 2
    return {name: float(chance) for name, chance in zip(NAMES, chances, strict=False) if chance > 1e-6}


def stored(shop: osoroi.Catalog, product_id: str) -> np.ndarray:
    return shop.storage.entries([product_id])[product_id].vectors[0]
