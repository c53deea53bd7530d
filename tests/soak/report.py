"""The table at the end of a soak."""

from collections import Counter
from collections.abc import Iterator, Sequence

from soak.checker import Violation
from soak.evidence import Evidence
from soak.phase import Figures

_LOSSES = ("no_batch_is_lost", "everything_is_delivered", "one_end_for_a_batch", "results_are_exact")
_GROUPS = ("minutes", "fault", "also", "batches", "jobs", "events", "losses", "violations")
_SHOWN_VIOLATIONS = 40


def table(phases: Sequence[tuple[Figures, Evidence, Sequence[Violation]]]) -> str:
    """Lay out what was done and what came of it, a column for each phase and one for all."""
    columns = [dict(_rows(*phase)) for phase in phases]
    names = sorted({name for column in columns for name in column}, key=_place)
    legend = [f"{number}: {figures.name}" for number, (figures, _, _) in enumerate(phases, 1)]
    head = _aligned("", [str(number) for number in range(1, len(columns) + 1)] + ["all"])
    return "\n".join([*legend, head, *(_line(name, [column.get(name, 0) for column in columns]) for name in names)])


def violations(found: Sequence[Violation]) -> str:
    """List the violations, the first of many."""
    more = [f"… and {len(found) - _SHOWN_VIOLATIONS} more"] if len(found) > _SHOWN_VIOLATIONS else []
    return "\n".join([*map(str, found[:_SHOWN_VIOLATIONS]), *more])


def _rows(figures: Figures, evidence: Evidence, found: Sequence[Violation]) -> Iterator[tuple[str, float]]:
    yield "minutes", figures.seconds / 60
    yield from ((f"fault {name}", number) for name, number in figures.strikes.items())
    yield from ((f"also {name}", number) for name, number in figures.others.items())
    ends = Counter(copy.kind for copy in evidence.stream if copy.is_end)
    yield from ((f"batches {kind}", number) for kind, number in ends.items())
    states = Counter(change["to"] for change in evidence.job_changes if change["to"] != "in_progress")
    yield from ((f"jobs {state}", number) for state, number in states.items())
    distinct = {copy.id for copy in evidence.stream}
    yield "events", len(distinct)
    yield "events of parked batches", sum(copy.kind == "parked" for copy in evidence.stream)
    yield "events twice on the queue", len(evidence.stream) - len(distinct)
    yield "events delivered again", len(evidence.recorded) - len({copy.id for copy in evidence.recorded})
    yield "losses", sum(violation.rule in _LOSSES for violation in found)
    yield "violations", len(found)


def _place(name: str) -> tuple[int, str]:
    return _GROUPS.index(name.split(maxsplit=1)[0]), name


def _line(name: str, numbers: Sequence[float]) -> str:
    return _aligned(name, [_text(number) for number in [*numbers, sum(numbers)]])


def _text(number: float) -> str:
    return f"{number:.1f}" if isinstance(number, float) else str(number)


def _aligned(name: str, cells: Sequence[str]) -> str:
    return f"{name:<46}" + "".join(f"{cell:>8}" for cell in cells)
