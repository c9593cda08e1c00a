"""Cuts: the pieces a garment is sewn from, on a pose."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from osoroi.data.synthetic.canvas import Piece
from osoroi.data.synthetic.cloth import Cloth, Colour, darker
from osoroi.data.synthetic.figures import Stance
from osoroi.data.synthetic.shapes import Points, Spot, curve, disc, limb, mirrored, moved, part

METAL: Colour = (196, 176, 128)


@dataclass(frozen=True)
class Cut:
    """The shape of a design: ``length`` from the neck to the hem, in heads; ``sleeve`` as a share of the arm."""

    kind: str
    length: float
    sleeve: float = 0.0
    ease: float = 0.1
    flare: float = 0.0
    neck: str = "crew"
    details: tuple[str, ...] = ()


NECKS: dict[str, tuple[float, float]] = {
    "crew": (0.27, 0.14),
    "boat": (0.46, 0.08),
    "scoop": (0.34, 0.42),
    "V": (0.26, 0.6),
    "high": (0.24, -0.16),
    "collar": (0.25, 0.22),
}
"""Neckline -> half its width, and its depth."""


def garment(cut: Cut, cloth: Cloth, pose: Stance, *, dressed: bool) -> list[Piece]:
    """The pieces of a garment, from the back to the front."""
    return SEWN.get(cut.kind, top)(cut, cloth, pose, dressed)


def body(cut: Cut) -> Points:
    """Front of a garment that hangs from the shoulders, with its neckline."""
    wide, deep = NECKS[cut.neck]
    e, hem, flare = cut.ease, cut.length, cut.flare
    corner = (wide, -0.16 if cut.neck == "high" else 0.0)
    bow = [] if cut.neck == "V" else [(wide * 0.75, deep * 0.6)]
    collar = curve((0, deep), *bow, corner)
    tip = 0.84 + 0.5 * e if cut.sleeve or "straps" not in cut.details else 0.5
    side: list[Spot] = [(0.68 + e, 0.9), (0.57 + 1.4 * e, min(1.7, hem - 0.35))]
    if hem > 2.75:
        side.append((0.76 + 0.9 * e + 0.3 * flare, 2.4))
    below = 0.76 + 0.9 * e + flare * max(hem - 1.7, 0.3) * 0.8
    if hem > 2.7:
        side.append((below, hem))
    else:
        side.append((float(np.interp(hem, (1.2, 1.7, 2.4), (0.62 + e, 0.6 + 1.3 * e, 0.74 + e))), hem))
    outline = [collar, curve((tip, 0.22), (0.72 + 0.6 * e, 0.55), side[0]), curve(*side), hemmed(side[-1], flare)]
    return mirrored(np.concatenate(outline))


def hemmed(corner: Spot, flare: float) -> Points:
    """The hem from a corner to the middle, with waves where it is wide."""
    x = np.linspace(corner[0], 0, 16)
    wave = 0.035 * min(flare, 1) * np.sin(x * 9)
    return np.stack([x, corner[1] + 0.1 * (1 - (x / corner[0]) ** 2) * (0.5 + flare) + wave], axis=1)


def sleeves(cut: Cut, cloth: Cloth, pose: Stance) -> list[Piece]:
    """Both sleeves, with a cuff where the cut has one."""
    pieces = []
    for joints in pose.arms:
        side = float(np.sign(joints[0][0]))
        start = (joints[0][0] - side * 0.02, joints[0][1] + 0.02)
        way = part([start, *joints[1:]], max(cut.sleeve, 0.2))
        end = float(np.interp(cut.sleeve, (0.15, 0.5, 1), (0.52, 0.42, 0.28))) + 0.8 * cut.ease
        if "bell" in cut.details:
            end += 0.3
        wide = [0.56 + 0.9 * cut.ease, 0.5 + 0.8 * cut.ease, end]
        spine = (start, *joints[1:])
        pieces.append(Piece(sewn_in(limb(way, wide), side, cut), cloth, spine, roundness=0.2, folds=0.5, shadow=0.25))
        if "cuffs" in cut.details:
            last, before = np.array(way[-1]), np.array(way[-2])
            back = last + (before - last) * 0.16 / np.hypot(*(before - last))
            cuff = limb([(float(back[0]), float(back[1])), way[-1]], [end + 0.03, end + 0.03])
            pieces.append(Piece(cuff, plain(cloth), spine, roundness=0.12, dark=0.9))
    return pieces


def sewn_in(outline: Points, side: float, cut: Cut) -> Points:
    """A sleeve that begins at the tip of the shoulder and at the armpit."""
    half = len(outline) // 2
    one, other = outline[:half], outline[half:][::-1]
    outer, inner = (one, other) if side * (one[3, 0] - other[3, 0]) > 0 else (other, one)
    e = cut.ease
    tip, cap, pit = (side * (0.8 + 0.5 * e), 0.19), (side * (0.97 + 0.5 * e), 0.38), (side * (0.66 + e), 0.95)
    far = outer[np.hypot(*(outer - tip).T) > 0.55]
    above = curve(tip, cap, *((float(x), float(y)) for x, y in far[::2]), steps=3)
    low = inner[inner[:, 1] > pit[1]] if inner[-1, 1] > pit[1] else inner[-1:]
    return np.concatenate([above, outer[-1:], low[::-1], np.array([pit, (side * 0.66, 0.4)])])


def plain(cloth: Cloth) -> Cloth:
    """The cloth without its print or blocks."""
    return replace(cloth, pattern="plain") if cloth.pattern in ("print", "blocks", "breton") else cloth


def top(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """T-shirts, shirts, sweaters, dresses: a front with sleeves; its back shows where no person wears it."""
    wide = NECKS[cut.neck][0]
    pieces = []
    if not dressed:
        inside = mirrored(curve((0, -0.07), (wide * 0.7, -0.05), (wide + 0.02, 0.02), (wide, 0.3), (0, 0.7)))
        pieces.append(Piece(inside, plain(cloth), dark=0.55, folds=0.2))
    fan = cut.flare if cut.length > 2.7 else 0.0
    pieces.append(Piece(body(cut), cloth, folds=0.5 + 0.8 * fan, fan=fan, roundness=0.45, shadow=0.3))
    if cut.sleeve:
        pieces += sleeves(cut, plain(cloth), pose)
    return pieces + fastened(cut, cloth)


def fastened(cut: Cut, cloth: Cloth) -> list[Piece]:
    """Collar, buttons, belt and pockets."""
    wide, deep = NECKS[cut.neck]
    pieces: list[Piece] = []
    dark, light = (
        replace(plain(cloth), pattern="plain"),
        Cloth(cloth.second if cloth.pattern != "plain" else (225, 222, 214)),
    )
    if "placket" in cut.details:
        strip = limb([(0, deep), (0, cut.length + 0.04)], [0.17, 0.17])
        pieces.append(Piece(strip, plain(cloth), roundness=0.05, shadow=0.2))
        spots = np.arange(deep + 0.15, cut.length - 0.1, 0.36)
        pieces += [Piece(disc(0, float(y), 0.035, 0.035), light, roundness=0.0, shadow=0.3) for y in spots]
    if "rib" in cut.details:
        neck = curve((-wide, 0.0), (-wide * 0.75, deep * 0.6), (0, deep), (wide * 0.75, deep * 0.6), (wide, 0.0))
        pieces.append(
            Piece(limb([tuple(p) for p in neck[::4].tolist()], [0.09, 0.09]), dark, dark=0.88, roundness=0.05)
        )
    if cut.neck == "collar":
        for side in (-1, 1):
            flap = np.array([(0.0, deep), (wide * 0.8, -0.12), (wide + 0.1, 0.05), (0.3, 0.42)]) * [side, 1]
            pieces.append(Piece(flap, plain(cloth), roundness=0.08, shadow=0.45))
    if "lapels" in cut.details:
        for side in (-1, 1):
            lapel = np.array([(0.02, 1.35), (wide, -0.06), (wide + 0.16, 0.1), (0.52, 0.62), (0.4, 0.68), (0.46, 0.8)])
            pieces.append(Piece(lapel * [side, 1], plain(cloth), roundness=0.1, shadow=0.5))
    if "belt" in cut.details:
        high, w = 1.68, 0.6 + 1.4 * cut.ease
        belt = limb([(-w, high), (0, high + 0.06), (w, high)], [0.17, 0.17])
        pieces += [Piece(belt, dark, dark=0.7, roundness=0.08, shadow=0.4)]
        pieces += [Piece(disc(0, high + 0.06, 0.1, 0.1), Cloth(METAL), roundness=0.05)]
    if "pockets" in cut.details:
        x, y = (0.4, 2.15) if cut.kind == "coat" else (0.34, 0.95)
        for side in (-1, 1) if cut.kind == "coat" else (1,):
            edges = np.array([(-0.16, -0.16), (0.16, -0.16), (0.16, 0.14), (0, 0.2), (-0.16, 0.14)])
            pieces.append(Piece(moved(edges, side * x, y), cloth, roundness=0.04, shadow=0.35))
    return pieces


def coat(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """Coats and jackets, open over something or closed."""
    pieces = top(replace(cut, details=tuple(d for d in cut.details if d in ("cuffs",)), neck="V"), cloth, pose, dressed)
    if "open" in cut.details:
        gap = np.array([(-0.22, 0.1), (0.22, 0.1), (0.34, cut.length + 0.12), (-0.3, cut.length + 0.12)])
        inner = Piece(
            gap,
            Cloth((228, 224, 216)) if dressed else replace(plain(cloth)),
            own=not dressed,
            dark=0.95 if dressed else 0.5,
        )
        pieces.insert(2 if not dressed else 1, inner)
    else:
        seam = limb([(0.04, 1.3), (0.04, cut.length + 0.08)], [0.02, 0.02])
        pieces.append(Piece(seam, plain(cloth), dark=0.6, roundness=0.0))
        xs = (-0.24, 0.24) if "double" in cut.details else (0.0,)
        light = Cloth((58, 48, 42))
        for y in np.arange(1.45, min(cut.length, 2.8), 0.42):
            pieces += [Piece(disc(x, float(y), 0.055, 0.055), light, roundness=0.0, shadow=0.4) for x in xs]
    return pieces + fastened(replace(cut, neck="crew"), cloth)


def skirt(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """Skirts: from the waist, narrow or wide."""
    e, hem, flare = cut.ease, cut.length, cut.flare
    hip, low = 0.75 + 0.6 * e + 0.3 * flare, 0.74 + 0.5 * e + flare * (hem - 1.7) * 0.75
    side = curve((0.55, 1.62), (hip, 2.4), (low, hem))
    outline = mirrored(np.concatenate([np.array([(0, 1.66)]), side, hemmed((low, hem), 0.3 + flare)]))
    band = limb([(-0.56, 1.62), (0, 1.68), (0.56, 1.62)], [0.16, 0.16])
    deep = (0.9 if "pleats" in cut.details else 0.5) + flare
    pieces = [Piece(outline, cloth, folds=deep * 0.7, fan=0.3 + flare, roundness=0.4, shadow=0.3)]
    return [*pieces, Piece(band, replace(cloth, pattern="plain"), dark=0.9, roundness=0.07)]


def pants(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """Trousers, jeans and shorts: two legs that follow the pose, and a band."""
    halves = []
    share = (cut.length - 2.45) / 4.05
    for leg in pose.legs:
        outside = float(np.sign(leg[0][0]))
        way = curve(*part([*leg], share), steps=4)
        wide = np.interp(np.linspace(0, share, len(way)), (0, 0.5, 1), (0.39, 0.27 + 0.5 * cut.ease, 0.17 + cut.ease))
        outer = way + np.stack([outside * wide, 0 * wide], axis=1)
        inner = way - np.stack([outside * np.minimum(wide, 0.36), 0 * wide], axis=1)
        waist = curve((outside * 0.56, 1.62), (outside * (0.73 + 0.3 * cut.ease), 2.25))
        halves.append(np.concatenate([waist, outer[1:], inner[:0:-1]]))
    outline = np.concatenate([halves[0], np.array([(0.0, 2.72)]), halves[1][::-1]])
    band = limb([(-0.57, 1.6), (0, 1.66), (0.57, 1.6)], [0.17, 0.17])
    fly = limb([(0.02, 1.7), (0.02, 2.25), (-0.04, 2.5)], [0.02, 0.02])
    pieces = [Piece(outline, cloth, folds=0.5, roundness=0.25, shadow=0.3)]
    pieces += [Piece(band, replace(cloth, pattern="plain"), dark=0.88, roundness=0.07)]
    pieces += [Piece(fly, replace(cloth, pattern="plain"), dark=0.72, roundness=0.0)]
    for side in (-1, 1):
        pocket = limb([(side * 0.3, 1.72), (side * 0.45, 1.98), (side * 0.7, 2.1)], [0.02, 0.02])
        pieces.append(Piece(pocket, replace(cloth, pattern="plain"), dark=0.72, roundness=0.0))
    return pieces


def bag(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """Bags: on the hand, or on a strap at the hip; ``length`` is the height of the bag, ``ease`` how wide it is."""
    high, wide = cut.length, 0.42 + cut.ease
    crossed = "strap" in cut.details
    (hx, hy) = pose.arms[0][2]
    x, y = ((-0.78, 2.3) if crossed else (hx, hy + 0.95)) if dressed else (0.0, 1.2)
    edge = curve(
        (0, 0), (wide * 0.8, 0), (wide * 0.92, 0.06), (wide + 0.3 * cut.flare, high * 0.9), (wide, high), (0, high)
    )
    trim = Cloth(darker(cloth.main, 0.62))
    if crossed:
        start, end = (x + wide * 0.9, y + 0.05), (0.52, 0.14)
        rope = (
            curve(start, (0.1, 1.0), end)
            if dressed
            else moved(curve((wide, 0.05), (wide + 0.5, -0.9), (0, -1.25), (-wide - 0.5, -0.9), (-wide, 0.05)), x, y)
        )
        handles = [Piece(limb([tuple(p) for p in rope[::2].tolist()], [0.07, 0.07]), trim, roundness=0.04, shadow=0.4)]
    else:
        loop = moved(
            curve((-wide * 0.5, 0.1), (-wide * 0.42, -0.5), (0, -0.72), (wide * 0.42, -0.5), (wide * 0.5, 0.1)), x, y
        )
        handles = [Piece(limb([tuple(p) for p in loop[::2].tolist()], [0.08, 0.08]), trim, roundness=0.04, shadow=0.3)]
    spine = ((x, y), (x, y + 1))
    pieces = [*handles, Piece(moved(mirrored(edge), x, y), cloth, spine, roundness=0.16, folds=0.25, shadow=0.5)]
    if "flap" in cut.details:
        flap = mirrored(
            curve(
                (0, -0.03), (wide * 0.9, -0.02), (wide * 0.96, high * 0.35), (wide * 0.5, high * 0.52), (0, high * 0.56)
            )
        )
        pieces.append(Piece(moved(flap, x, y), cloth, spine, roundness=0.1, shadow=0.55))
        pieces.append(Piece(disc(x, y + high * 0.52, 0.06, 0.05), Cloth(METAL), roundness=0.04))
    else:
        hem = limb([(x - wide * 0.95, y + 0.06), (x + wide * 0.95, y + 0.06)], [0.12, 0.12])
        pieces.append(Piece(hem, trim, roundness=0.05))
    return pieces


def jumpsuit(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """A top and trousers in one, with a belt over the seam."""
    below = pants(replace(cut, kind="trousers"), cloth, pose, dressed)[:1]
    above = top(replace(cut, length=2.0, details=("straps",) if not cut.sleeve else ()), cloth, pose, dressed)
    belt = limb([(-0.66, 1.7), (0, 1.76), (0.66, 1.7)], [0.16, 0.16])
    return [*below, *above, Piece(belt, plain(cloth), dark=0.8, roundness=0.07, shadow=0.3)]


def shoes(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """A pair, seen from the front; ``length`` is that of the shaft, ``ease`` how wide it is, ``flare`` the heel."""
    pieces = []
    rubber = Cloth((236, 234, 228)) if "sneaker" in cut.details else Cloth(darker(cloth.main, 0.5))
    for _, _, (x, y) in pose.legs:
        side = float(np.sign(x))
        low, toe = y + 0.36 + 0.5 * cut.flare, x + side * 0.07
        wide = 0.17 + cut.ease
        sole = limb([(toe - 0.2, low), (toe + 0.2, low)], [0.1, 0.1])
        upper = curve((x - wide, y - cut.length), (x - 0.17, y), (toe - 0.24, low - 0.1), (toe - 0.14, low + 0.04))
        other = curve((toe + 0.14, low + 0.04), (toe + 0.24, low - 0.1), (x + 0.17, y), (x + wide, y - cut.length))
        spine = ((x, y), (x, y + 1))
        pieces += [Piece(sole, rubber, roundness=0.05, shadow=0.3)]
        pieces += [Piece(np.concatenate([upper, other]), cloth, spine, roundness=0.14, folds=0.15, shadow=0.3)]
        if "open" in cut.details:
            pieces.append(Piece(disc(toe, low - 0.2, 0.1, 0.08), Cloth(darker(cloth.main, 0.35)), roundness=0.05))
        if "sneaker" in cut.details:
            for step in (0.1, 0.17, 0.24):
                lace = limb([(toe - 0.1, low - step), (toe + 0.1, low - step + 0.03)], [0.03, 0.03])
                pieces.append(Piece(lace, Cloth((240, 239, 235)), roundness=0.0))
    return pieces


def hat(cut: Cut, cloth: Cloth, pose: Stance, dressed: bool) -> list[Piece]:
    """A crown of height ``length`` with a brim, a visor or a turned-up band."""
    low, wide, high = -1.0, 0.44 + cut.ease, cut.length
    crown = mirrored(curve((0, low - high), (wide * 0.7, low - high * 0.9), (wide, low - high * 0.35), (wide, low)))
    spine = ((0.0, low - high), (0.0, low - high + 1))
    pieces = [Piece(crown, cloth, spine, roundness=0.25, folds=0.2, shadow=0.3)]
    if "brim" in cut.details:
        pieces.insert(0, Piece(disc(0, low, wide + 0.28 + cut.flare, 0.16), cloth, spine, roundness=0.08, shadow=0.4))
        pieces.append(
            Piece(limb([(-wide, low - 0.06), (0, low), (wide, low - 0.06)], [0.12, 0.12]), plain(cloth), dark=0.6)
        )
    elif "visor" in cut.details:
        visor = mirrored(curve((0, low - 0.06), (wide * 0.8, low - 0.04), (wide * 0.95, low + 0.14), (0, low + 0.24)))
        pieces.append(Piece(visor, plain(cloth), roundness=0.1, dark=0.85, shadow=0.5))
    else:
        band = limb([(-wide, low - 0.08), (0, low - 0.02), (wide, low - 0.08)], [0.24, 0.24])
        pieces.append(Piece(band, plain(cloth), roundness=0.08, dark=0.92, shadow=0.3))
    return pieces


SEWN: dict[str, Callable[[Cut, Cloth, Stance, bool], list[Piece]]] = {
    "coat": coat,
    "jacket": coat,
    "skirt": skirt,
    "trousers": pants,
    "shorts": pants,
    "bag": bag,
    "jumpsuit": jumpsuit,
    "shoes": shoes,
    "hat": hat,
}
"""Kind -> the function that makes its pieces; others hang from the shoulders."""
