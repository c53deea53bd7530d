"""Checks that other packages bring: the entry points of the group `complyq.checks`.

Each names a function that takes the settings and returns a mapping with the fields of a Finding.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from complyq_producer.cli.checks.finding import Finding, finding_from, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_config.settings import Settings

GROUP = "complyq.checks"


def joined_checks(settings: Settings) -> Iterator[Finding]:
    """Run the checks of other packages, as far as they are installed."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        yield _run(point, settings)


def _run(point: EntryPoint, settings: Settings) -> Finding:
    try:
        check = point.load()
    except ModuleNotFoundError as error:
        found = f"not looked at, since {error.name} is not installed"
        mend = "Nothing on a machine that only enqueues and listens; where workers run, pip install 'complyq[worker]'."
        return warning(f"Check {point.name}", found, mend)
    return finding_from(check(settings))
