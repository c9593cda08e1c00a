"""Finding garments: a street photo in, a box and a kind for everything that somebody wears or carries out.

``find`` is the whole way. ``people`` detects people and bags, ``pose`` gives landmarks and a mask of each person,
``body`` is the ruler along a body, ``profile`` the colours along it, ``rule`` turns them into boxes, ``picture`` says
what a crop looks like, and ``kinds`` is the table of kinds. Without torch.
"""

from osoroi.garments.choose import choose
from osoroi.garments.fields import fields
from osoroi.garments.find import WORK_SIDE, Garment, find, find_in
from osoroi.garments.kinds import BY_NAME, KINDS, Kind, read_category

__all__ = ["BY_NAME", "KINDS", "WORK_SIDE", "Garment", "Kind", "choose", "fields", "find", "find_in", "read_category"]
