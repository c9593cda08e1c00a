"""Plots as inline SVG: lines with bands, and differences with their intervals. Every text is escaped."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from osoroi.evaluation.bootstrap import Interval

AxisNumber = float | int
"""A coordinate."""

COLOURS = ("#1b5e9b", "#b3541e", "#2f7d4f", "#7a3f98", "#5f5f5f", "#a3195b")
"""Readable on white. Beyond these, lines differ by their dashes."""

DASHES = ("", "7 4", "2 3", "9 3 2 3")

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 132, 14, 44


class Series(NamedTuple):
    """One line: a mean with its interval at each x."""

    name: str
    xs: Sequence[AxisNumber]
    points: Sequence[Interval]


class AxisScale(NamedTuple):
    """Maps values to positions along one side of the plot."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: AxisNumber) -> float:
        low, high, value = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / ((high - low) or 1)


def lines(series: Sequence[Series], *, title: str, x: str, ticks: Sequence[AxisNumber], log: bool = False) -> Markup:
    """Lines over x, each with its 95% band and its name at its right end; y from 0 to the next tenth above all.

    >>> svg = lines([Series("a", [1, 2], [Interval(.2, .1, .3), Interval(.4, .3, .5)])], title="t", x="k", ticks=[1, 2])
    >>> svg.count("<polyline"), svg.count("<polygon"), ">0.5</text>" in svg
    (1, 1, True)
    """
    highest = max((_top(point) for each in series for point in each.points), default=1.0)
    across = AxisScale(ticks[0], ticks[-1], LEFT, WIDTH - RIGHT, log)
    up = AxisScale(0, min(1.0, math.ceil(highest * 10 - 1e-9) / 10) or 0.1, HEIGHT - BOTTOM, TOP)
    body = [_grid(across, up, ticks, x)]
    names = _spread_labels([up.at(each.points[-1].mean) for each in series])
    for number, (each, place) in enumerate(zip(series, names, strict=True)):
        body.append(_line(each, number, across, up, place))
    return _svg(title, WIDTH, HEIGHT, "".join(body))


def _grid(across: AxisScale, up: AxisScale, ticks: Sequence[AxisNumber], x: str) -> str:
    parts = []
    for step in range(round(up.high * 10) + 1):
        y = up.at(step / 10)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{step / 10:.1f}</text>')
    for tick in ticks:
        parts.append(f'<text x="{across.at(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x)}</text>')
    return "".join(parts)


def _line(series: Series, number: int, across: AxisScale, up: AxisScale, place: float) -> str:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    middle = [(across.at(x), up.at(point.mean)) for x, point in zip(series.xs, series.points, strict=True)]
    sure = [(x, point) for x, point in zip(series.xs, series.points, strict=True) if math.isfinite(point.low)]
    band = [(across.at(x), up.at(point.high)) for x, point in sure]
    band += [(across.at(x), up.at(point.low)) for x, point in reversed(sure)]
    return (
        f'<polygon points="{_points(band)}" fill="{colour}" fill-opacity=".13"/>'
        f'<polyline points="{_points(middle)}" stroke="{colour}" stroke-dasharray="{dash}" class="line"/>'
        f'<text x="{WIDTH - RIGHT + 8}" y="{place + 4:.1f}" fill="{colour}">{escape(series.name)}</text>'
    )


def differences(rows: Sequence[tuple[str, Interval, bool]], *, title: str, x: str) -> Markup:
    """A row for each difference: its mean as a dot (filled if significant), its interval as a bar, 0 as a line.

    >>> svg = differences([("tops", Interval(.1, .05, .15), True)], title="t", x="nDCG@5")
    >>> svg.count("<circle"), "tops" in svg
    (1, True)
    """
    reach = max((abs(side) for _, each, _ in rows for side in each if math.isfinite(side)), default=0.1)
    step = next(width for width in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if width * 4 >= reach or width == 1)
    edge = step * max(1, math.ceil(reach / step - 1e-9))
    left, high = 150, 26
    across, height = AxisScale(-edge, edge, left, WIDTH - 20), TOP + high * len(rows) + BOTTOM
    floor = TOP + high * len(rows)
    parts = []
    for tick in range(-round(edge / step), round(edge / step) + 1):
        at = across.at(tick * step)
        kind = "zero" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{floor}"/>')
        text = "0" if tick == 0 else f"{tick * step:+.2f}"
        parts.append(f'<text x="{at:.1f}" y="{floor + 18}" text-anchor="middle">{text}</text>')
    for number, (name, interval, shown) in enumerate(rows):
        parts.append(_difference(name, interval, shown, across, TOP + high * (number + 0.5), left))
    parts.append(f'<text x="{across.at(0):.1f}" y="{height - 6}" text-anchor="middle">{escape(x)}</text>')
    return _svg(title, WIDTH, height, "".join(parts))


def _difference(name: str, interval: Interval, shown: bool, across: AxisScale, y: AxisNumber, left: AxisNumber) -> str:
    colour = COLOURS[0]
    bar = ""
    if math.isfinite(interval.low):
        low, high = across.at(interval.low), across.at(interval.high)
        bar = f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" class="line"/>'
    fill = colour if shown else "#fff"
    return (
        f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>{bar}'
        f'<circle cx="{across.at(interval.mean):.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{colour}"/>'
    )


def _top(point: Interval) -> float:
    return point.high if math.isfinite(point.high) else point.mean


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _spread_labels(places: Sequence[float], gap: float = 15.0) -> list[float]:
    """Positions of labels, moved so that none covers another and none leaves the plot at the top.

    >>> _spread_labels([20.0, 14.0, 100.0])
    [29.0, 14.0, 100.0]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved, floor = list(places), float(TOP)
    for i in order:
        moved[i] = floor = max(moved[i], floor)
        floor += gap
    return moved


def _svg(title: str, width: AxisNumber, height: AxisNumber, body: str) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
