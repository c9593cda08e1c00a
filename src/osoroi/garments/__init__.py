"""Finding garments: a street photo in, a box and a kind for everything that somebody wears or carries out.

``find`` is the whole way. ``people`` detects people and bags, ``pose`` gives landmarks and a mask of each person,
``body`` is the ruler along a body, ``profile`` the colours along it, ``rule`` turns them into boxes, ``picture`` says
what a crop looks like, and ``kinds`` is the table of kinds. Without torch.
"""

from osoroi.garments.choose import choose
from osoroi.garments.find import Garment, find
from osoroi.garments.kinds import BY_NAME, KINDS, Kind, read_category

__all__ = ["BY_NAME", "KINDS", "Garment", "Kind", "choose", "find", "read_category"]
