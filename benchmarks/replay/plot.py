"""A picture of latencies over time as SVG: readable in light and dark, needs nothing but a browser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Point = tuple[float, float]

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 74, 150, 44, 52
MOST_POINTS = 120
_TICKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 21_600: "6 h", 86_400: "24 h"}
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
  .s0 { stroke: #b35900 } .s1 { stroke: #0969da } .s2 { stroke: #57606a; stroke-dasharray: 5 4 }
  .t0 { fill: #b35900 } .t1 { fill: #0969da } .t2 { fill: #57606a }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #30363d }
    .s0 { stroke: #f0883e } .s1 { stroke: #58a6ff } .s2 { stroke: #9ea7b3 }
    .t0 { fill: #f0883e } .t1 { fill: #58a6ff } .t2 { fill: #9ea7b3 }
  }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """Latencies in seconds over the seconds at which batches were answered, ascending; three curves have a colour."""

    name: str
    points: Sequence[Point]


def latency_plot(title: str, curves: Sequence[Curve]) -> str:
    """Draw latencies on a logarithmic axis over the time of the answers."""
    axes = _Axes(
        max((at for curve in curves for at, _ in curve.points), default=1.0) or 1.0,
        min((seconds for curve in curves for _, seconds in curve.points), default=1.0),
        max((seconds for curve in curves for _, seconds in curve.points), default=10.0),
    )
    body = "\n".join([*_grid(axes), *_curves(axes, curves)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>\n{body}\n</svg>\n'
    )


class _Axes:
    def __init__(self, end: float, least: float, most: float) -> None:
        self.end = end
        self.floor = max((tick for tick in _TICKS if tick <= least), default=1)
        self.ceiling = min((tick for tick in _TICKS if tick >= most), default=86_400)

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / self.end

    def y(self, seconds: float) -> float:
        place = math.log(max(seconds, self.floor) / self.floor) / math.log(self.ceiling / self.floor)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * place


def _grid(axes: _Axes) -> Iterator[str]:
    for seconds, name in _TICKS.items():
        if axes.floor <= seconds <= axes.ceiling:
            y = axes.y(seconds)
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
    for at, name in _time_ticks(axes.end):
        yield f'<text x="{axes.x(at):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{name}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">when the batch was answered</text>'


def _time_ticks(end: float) -> list[tuple[float, str]]:
    step = next((step for step in (60, 300, 600, 1800, 3600, 14_400) if end / step <= 7), 86_400)
    unit, name = (3600, "h") if step >= 3600 else (60, "min")
    return [(at, f"{at / unit:.0f} {name}") for at in range(0, int(end) + step, step) if at <= end + 1]


def _curves(axes: _Axes, curves: Sequence[Curve]) -> Iterator[str]:
    lines = [(curve.name, _thinned(curve.points)) for curve in curves if curve.points]
    for number, (_, points) in enumerate(lines):
        path = " ".join(f"{axes.x(at):.1f},{axes.y(seconds):.1f}" for at, seconds in points)
        yield f'<polyline class="line s{number}" points="{path}"/>'
    for number, (y, name) in _apart([(axes.y(points[-1][1]), name) for name, points in lines]):
        yield f'<text class="t{number}" x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}">{escape(name)}</text>'


def _apart(labels: list[tuple[float, str]]) -> Iterator[tuple[int, tuple[float, str]]]:
    """Keep labels from standing on each other; each keeps its number."""
    lowest = -math.inf
    for number, (y, name) in sorted(enumerate(labels), key=lambda label: label[1][0]):
        lowest = max(y, lowest + 17)
        yield number, (lowest, name)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return the median of each of a hundred groups of neighbours: a line that can be seen, and not too long."""
    size = max(1, math.ceil(len(points) / MOST_POINTS))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[len(group) // 2][0], sorted(seconds for _, seconds in group)[len(group) // 2]) for group in groups]
