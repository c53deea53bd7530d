"""A picture of who took how long as SVG: readable in light and dark, needs nothing but a browser."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from racing.races import Raced

WIDTH, LEFT, RIGHT = 760, 170, 150
_TOP, _TITLE, _BAR, _GAP = 16, 26, 20, 7
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .bar { fill: #8c959f } .ours { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #58a6ff }
  }
"""


def time_plot(finished: Iterable[Raced], ours: str) -> str:
    """Draw a bar for each competitor of each race that has several, as long as its seconds; ours in a colour."""
    races = [raced for raced in finished if len(raced.race.competitors) > 1]
    y, body = _TOP, []
    for raced in races:
        lines = list(_race(raced, ours, y))
        body += lines
        y += _TITLE + len(raced.race.competitors) * (_BAR + _GAP) + _TOP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">\n'
        f"<title>{escape(_described(races))}</title>\n<style>{_STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _race(raced: Raced, ours: str, top: int) -> Iterator[str]:
    longest = max(raced.seconds(competitor) for competitor in raced.race.competitors)
    yield f'<text class="title" x="{_TOP}" y="{top + 12}">{escape(raced.race.title)}, {raced.race.lines:,} IDs</text>'
    for place, competitor in enumerate(raced.race.competitors):
        seconds, peak = raced.seconds(competitor), raced.peak(competitor)
        y, length = top + _TITLE + place * (_BAR + _GAP), (WIDTH - LEFT - RIGHT) * seconds / longest
        kind = "bar ours" if competitor == ours else "bar"
        yield f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(competitor)}</text>'
        yield f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2"/>'
        yield f'<text x="{LEFT + length + 8:.1f}" y="{y + 15}">{seconds:.2f} s, {peak / 1e6:,.0f} MB</text>'


def _described(races: Sequence[Raced]) -> str:
    return "Seconds and peak memory: " + "; ".join(
        f"{raced.race.title}: "
        + ", ".join(f"{competitor} {raced.seconds(competitor):.2f} s" for competitor in raced.race.competitors)
        for raced in races
    )
