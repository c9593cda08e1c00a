"""Segments a garment: on plain paper by colour, elsewhere by two Gaussian mixtures and a mean field.

At home nothing is known but that a garment lies about the middle and its background about the edge. Both become a
mixture of Gaussians in colour; what each pixel says is weighed with what its neighbours say, and more so where no edge
lies between them; then both mixtures are fitted anew. That is GrabCut (Rother et al. 2004) with a mean field instead of
a cut through a graph, so that it needs numpy alone.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image, ImageFilter

from osoroi.data.synthetic.cloth import Plane
from osoroi.errors import BadPhoto

SIDE, SHARP = 128, 288
"""Longer side in pixels at which photos are segmented: at home, and on plain paper."""

ROUNDS, FIELD = 5, 12
"""Fits of the mixtures, and steps of the mean field for each fit."""

USUAL = 0.95
"""Share of the edge that is background as a matter of course: what is stranger, about the middle, starts as garment."""

LEAST, MOST = 0.06, 0.92
"""Least and greatest share of a photo that a garment covers."""

Rgb = UInt8[np.ndarray, "_ _ 3"]
PLAIN = (11, 5)
"""Distance of a garment from the colour of plain paper; shadows are nearer."""

Colours = Float[np.ndarray, "n 3"]


class Mixture(NamedTuple):
    """Gaussians in colour: shares, means, and inverse roots of the covariances."""

    shares: Float[np.ndarray, "k"]
    means: Float[np.ndarray, "k 3"]
    roots: Float[np.ndarray, "k 3 3"]

    def each(self, colours: Colours) -> Float[np.ndarray, "n k"]:
        """Log of each Gaussian's share of the density."""
        roots = self.roots.reshape(-1, 3)
        offset = np.einsum("kij,kj->ki", self.roots, self.means).ravel()
        apart = (colours @ roots.T - offset) ** 2
        volume = np.log(np.abs(np.linalg.det(self.roots)))
        return -0.5 * (apart[:, 0::3] + apart[:, 1::3] + apart[:, 2::3]) + (volume + np.log(self.shares))

    def log(self, colours: Colours) -> Float[np.ndarray, "n"]:
        """Log density, but for a constant."""
        each = self.each(colours)
        most = each.max(axis=1)
        return most + np.log(np.exp(each - most[:, None]).sum(axis=1))


def mixed(colours: Colours, weights: Float[np.ndarray, "n"], start: Mixture, steps: int = 1) -> Mixture:
    """A mixture fitted to weighted colours, from another one on: steps of expectation and maximisation.

    Each covariance is at least that of a deviation of 5 levels, so that a colour met once is no certainty.
    """
    squares = (colours[:, :, None] * colours[:, None, :]).reshape(-1, 9)
    mixture = start
    for _ in range(steps):
        each = mixture.each(colours)
        belongs = np.exp(each - each.max(axis=1, keepdims=True))
        belongs *= (weights / belongs.sum(axis=1))[:, None]
        total = belongs.sum(axis=0) + 1e-6
        means = (belongs.T @ colours) / total[:, None]
        second = ((belongs.T @ squares) / total[:, None]).reshape(-1, 3, 3)
        spread = second - means[:, :, None] * means[:, None, :] + 25 * np.eye(3)
        mixture = Mixture(total / total.sum(), means, np.linalg.inv(np.linalg.cholesky(spread)))
    return mixture


def started(colours: Colours, count: int) -> Mixture:
    """A mixture about colours far from each other: each next one is among the farthest from those before."""
    chosen = [np.median(colours, axis=0)]
    far = np.full(len(colours), np.inf)
    for _ in range(count - 1):
        far = np.minimum(far, ((colours - chosen[-1]) ** 2).sum(axis=1))
        chosen.append(colours[int(np.argmax(np.minimum(far, np.quantile(far, 0.9))))])
    return Mixture(np.full(count, 1 / count), np.array(chosen), np.repeat(np.eye(3)[None] / 20, count, axis=0))


def cut(photo: Rgb, name: str = "the photo") -> Plane:
    """Alpha of the garment for each pixel of the reduced photo; BadPhoto where none stands out.

    Paper is plain where nine tenths of the outermost pixels are within 16 levels of their median.

    >>> photo = np.full((90, 60, 3), 250, np.uint8)
    >>> photo[20:70, 10:50] = (40, 60, 120)
    >>> mask = cut(photo)
    >>> float(mask[45, 30]), float(mask[4, 4])
    (1.0, 0.0)
    """
    mask = on_paper(small(photo, SHARP).astype(np.float64))
    if mask is None:
        mask = whole(argued(small(photo, SIDE).astype(np.float64)) > 0.5, 0.012)
    if not sane(mask):
        problem = f"no garment stands out in {name}: {mask.mean():.0%} of it would be one"
        raise BadPhoto(problem, hint="photograph it whole, on a background of another colour")
    return mask.astype(np.float64)


def on_paper(pixels: Float[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"] | None:
    """The garment on plain paper; None where the paper is not plain, or nothing stands out from it as a whole."""
    edge = ring(pixels.shape[:2], 3)
    off = np.abs(pixels - np.median(pixels[edge], axis=0)).max(axis=2)
    for apart in PLAIN if np.quantile(off[edge], 0.9) < 16 else ():
        mask = whole(off > apart, 0.04)
        if sane(mask) and solid(mask):
            drawn_in = Image.fromarray(mask).convert("L").filter(ImageFilter.MinFilter(3))
            return np.asarray(drawn_in) > 0
    return None


def lifted(photo: Rgb, name: str, side: int) -> Image.Image:
    """The garment alone (RGBA), trimmed to it, its longer side so many pixels at most.

    Its outline is drawn in by half a pixel of the smaller photo it was found on, and softened: what is mixed with
    the background stays there.
    """
    mask = Image.fromarray((cut(photo, name) * 255).astype(np.uint8))
    share = min(1.0, side / max(photo.shape[:2]))
    size = max(1, round(photo.shape[1] * share)), max(1, round(photo.shape[0] * share))
    soft = mask.filter(ImageFilter.GaussianBlur(0.7)).resize(size, Image.Resampling.BICUBIC)
    alpha = soft.point([int(np.clip((level - 140) * 4, 0, 255)) for level in range(256)])
    garment = Image.fromarray(photo).resize(size, Image.Resampling.BOX).convert("RGBA")
    garment.putalpha(alpha)
    return garment.crop(alpha.getbbox() or (0, 0, *size))


def small(photo: Rgb, side: int) -> Rgb:
    """The photo with its longer side at most ``side`` pixels."""
    height, width, _ = photo.shape
    share = min(1.0, side / max(height, width))
    size = max(8, round(width * share)), max(8, round(height * share))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))


def ring(shape: tuple[int, ...], wide: int) -> Bool[np.ndarray, "h w"]:
    """The outermost pixels."""
    inside = np.zeros(shape, dtype=bool)
    inside[wide:-wide, wide:-wide] = True
    return ~inside


def argued(pixels: Float[np.ndarray, "h w 3"]) -> Plane:
    """The probability of each pixel to be garment, by two mixtures and a mean field."""
    height, width, _ = pixels.shape
    colours, edge = pixels.reshape(-1, 3), ring((height, width), 3)
    y, x = np.mgrid[:height, :width]
    far = np.hypot((x + 0.5) / width - 0.5, 0.9 * ((y + 0.5) / height - 0.5)) / 0.5
    prior = np.where(edge, -4.0, np.clip(1.6 - 3.0 * far**2, -2, 0.8))
    outside = mixed(pixels[edge], np.ones(edge.sum()), started(pixels[edge], 6), steps=4)
    strange = -outside.log(colours).reshape(height, width)
    usual = np.quantile(strange[edge], USUAL)
    inner = far < 0.75
    if (strange[inner] > usual).mean() < 2 * (1 - USUAL):
        return np.zeros((height, width))  # the middle is as the edge is
    belief = 1 / (1 + np.exp(-np.clip(strange - usual + prior, -20, 20)))
    links = linked(pixels)
    likely = inner & (belief >= np.quantile(belief[inner], 0.5))
    inside = mixed(pixels[inner], belief[inner], started(pixels[likely], 5), steps=3)
    for _ in range(ROUNDS):
        inside = mixed(colours, belief.ravel(), inside)
        outside = mixed(colours, np.where(edge, 1.0, 1 - belief).ravel(), outside)
        evidence = (inside.log(colours) - outside.log(colours)).reshape(height, width)
        belief = agreed(np.clip(evidence, -6, 6) + prior, links)
    return belief


def linked(pixels: Float[np.ndarray, "h w 3"]) -> list[tuple[tuple[int, int], Plane]]:
    """Weights of the eight neighbours, smaller across an edge."""
    steps = [(0, 1), (1, 0), (1, 1), (1, -1)]
    apart = {step: ((pixels - np.roll(pixels, step, axis=(0, 1))) ** 2).sum(axis=2) for step in steps}
    sharp = 1 / (2 * np.mean([each.mean() for each in apart.values()]) + 1e-6)
    links = []
    for (down, across), far in apart.items():
        weight = 1.4 * np.exp(-sharp * far) / np.hypot(down, across)
        links.append(((down, across), weight))
        links.append(((-down, -across), np.roll(weight, (-down, -across), axis=(0, 1))))
    return links


def agreed(own: Plane, links: list[tuple[tuple[int, int], Plane]]) -> Plane:
    """Probabilities after the steps of a mean field over neighbours."""
    said = np.tanh(own / 2)
    for _ in range(FIELD):
        heard = own + sum(weight * np.roll(said, step, axis=(0, 1)) for step, weight in links)
        said = 0.5 * said + 0.5 * np.tanh(heard / 2)
    return (said + 1) / 2


def sane(mask: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a garment covers a sensible share of the photo, and does not lie along most of its edge."""
    edge = ring(mask.shape, 2)
    return bool(LEAST < mask.mean() < MOST and mask[edge].mean() < 0.45)


def solid(mask: Bool[np.ndarray, "h w"]) -> bool:
    """Whether it fills two fifths of its own box; white on white falls into pieces."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return bool(mask.sum() > (np.ptp(rows) + 1) * (np.ptp(columns) + 1) * 0.4)


def whole(mask: Bool[np.ndarray, "h w"], hole: float) -> Bool[np.ndarray, "h w"]:
    """The largest piece, with those of its holes filled that are less than this share of the photo."""
    if not mask.any():
        return mask
    pieces = labelled(mask)
    largest = pieces == int(np.argmax(np.bincount(pieces[mask])))
    holes = labelled(~largest)
    sizes = np.bincount(holes.ravel())
    return largest | (sizes[holes] < hole * mask.size)


def labelled(mask: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "h w"]:
    """Connected components (4 neighbours): one number for each, on all its pixels.

    >>> labelled(np.array([[True, True, False], [False, True, False], [True, False, True]]))
    array([[5, 5, 0],
           [0, 5, 0],
           [7, 0, 9]])
    """
    labels = np.arange(1, mask.size + 1, dtype=np.int64).reshape(mask.shape) * mask
    while True:
        spread = swept(swept(labels, mask).T, mask.T).T
        if np.array_equal(spread, labels):
            return labels
        labels = spread


def swept(labels: Int64[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "h w"]:
    """The largest number in each run of a line, spread over the run."""
    begins = np.ones(mask.shape, dtype=bool)
    begins[:, 1:] = mask[:, 1:] != mask[:, :-1]
    starts_at = np.flatnonzero(begins)
    largest = np.maximum.reduceat(labels.ravel(), starts_at)
    return np.repeat(largest, np.diff(np.append(starts_at, labels.size))).reshape(labels.shape)
