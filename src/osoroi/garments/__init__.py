"""Finding garments: a street photo in, a box and a kind for everything that somebody wears or carries out.

``find.find`` is the whole way. ``people`` detects people and bags, ``pose`` gives landmarks and a mask of each person,
``body`` is the ruler along a body, ``profile`` the colours along it, ``rule`` turns them into boxes, ``picture`` says
what a crop looks like, and ``kinds`` is the table of kinds. Without torch. This package gives what is said of garments
that were found; whoever finds them imports ``find``.
"""

from osoroi.garments.garment import ALL, WORK_SIDE, Garment, choose, fields
from osoroi.garments.kinds import BY_NAME, KINDS, Kind, read_category

__all__ = ["ALL", "BY_NAME", "KINDS", "WORK_SIDE", "Garment", "Kind", "choose", "fields", "read_category"]
