"""Tables of costs, and of what follows from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from costing.cases import BASE, LARGE, MANY
from costing.thousandfold import (
    BASE_LOAD,
    Load,
    Machine,
    PerBatch,
    Prices,
    XLimits,
    apps,
    bounds,
    dollars_a_million_ids,
    ids_a_second_of_app,
    needs,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from costing.costs import Costs

_LIMITS, _PRICES, _MACHINE = XLimits(), Prices(), Machine()
THOUSAND = 1_000
_SLOT_SECONDS = (0, 30, 60, 300, 600, 3_600)
_JOB_SECONDS = 60
_STEPS = ("plan", "merge_job", "create_job", "upload_job", "poll_job", "collect_job", "publish_batch", "sweep")


def tables(all_costs: Sequence[Costs]) -> Iterator[Table]:
    """Show what was measured, and, where the cases for it were, what a thousand times the load needs."""
    yield cost_table(all_costs)
    yield step_table(all_costs)
    by_case = {costs.case: costs for costs in all_costs}
    if by_case.keys() >= {BASE, MANY, LARGE}:
        yield from projections(by_case)


def cost_table(all_costs: Sequence[Costs]) -> Table:
    """Show what a batch costs of everything."""
    units = [PerBatch.of(costs) for costs in all_costs]
    table = _table("Of one batch", [costs.case for costs in all_costs])
    table.add_row("jobs of all", *(f"{costs.figures.jobs}" for costs in all_costs))
    for name, figures in (
        ("workers, CPU ms", [unit.worker_cpu_seconds * 1e3 for unit in units]),
        ("enqueue, CPU ms", [unit.producer_cpu_seconds * 1e3 for unit in units]),
        ("Redis, CPU ms", [unit.redis_cpu_seconds * 1e3 for unit in units]),
        ("Redis, commands", [unit.redis_commands for unit in units]),
        ("store, writes and listings", [unit.writes for unit in units]),
        ("store, reads", [unit.reads for unit in units]),
        ("store, KB kept", [unit.stored_bytes / 1e3 for unit in units]),
        ("events, KB", [unit.event_bytes / 1e3 for unit in units]),
        ("Redis, KB remembered", [unit.remembered_bytes / 1e3 for unit in units]),
    ):
        table.add_row(name, *(_three_digits(figure) for figure in figures))
    prices = [
        dollars_a_million_ids(unit, costs.ids / costs.batches, _PRICES)
        for unit, costs in zip(units, all_costs, strict=True)
    ]
    table.add_row("requests and CPU, $ a million IDs", *(f"{price:.2g}" for price in prices))
    return table


def step_table(all_costs: Sequence[Costs]) -> Table:
    """Show processor time by step, of all batches of a case together."""
    table = _table("CPU ms a thousand IDs, by step", [costs.case for costs in all_costs])
    table.add_row("enqueue", *(_of_ids(costs, costs.figures.enqueue.cpu_seconds) for costs in all_costs))
    for step in _STEPS:
        spent = [costs.figures.steps[step].cpu_seconds if step in costs.figures.steps else 0 for costs in all_costs]
        table.add_row(step, *(_of_ids(costs, each) for costs, each in zip(all_costs, spent, strict=True)))
    rest = [
        costs.worker_cpu_seconds - sum(step.cpu_seconds for step in costs.figures.steps.values()) for costs in all_costs
    ]
    table.add_row("Celery", *(_of_ids(costs, each) for costs, each in zip(all_costs, rest, strict=True)))
    return table


def projections(by_case: Mapping[str, Costs]) -> Iterator[Table]:
    """Show what follows for the base load and a thousand times that."""
    base, many, large = (PerBatch.of(by_case[case]) for case in (BASE, MANY, LARGE))
    thousand, in_large = BASE_LOAD.times(THOUSAND), BASE_LOAD.times(THOUSAND).in_batches_of(by_case[LARGE].ids)
    yield _slot_table(thousand, many)
    yield _needs_table(
        {
            "once": (BASE_LOAD, base),
            f"{THOUSAND:,} times": (thousand, many),
            f"the same, {in_large.ids_a_batch:,} IDs a batch": (in_large, large),
        }
    )
    yield _bounds_table(base)


def _slot_table(load: Load, unit: PerBatch) -> Table:
    table = _table(
        "What the slot of one App carries", ["IDs a second", "million IDs a day", f"Apps for {THOUSAND:,} times"]
    )
    for seconds in _SLOT_SECONDS:
        capacity = ids_a_second_of_app(_LIMITS, unit.payload_bytes / load.ids_a_batch, seconds)
        name = f"a job every {max(seconds, _LIMITS.window_seconds // _LIMITS.creates):,} s"
        table.add_row(name, f"{capacity:,.0f}", f"{capacity * 86_400 / 1e6:,.0f}", f"{apps(load, capacity):,}")
    return table


def _needs_table(loads: Mapping[str, tuple[Load, PerBatch]]) -> Table:
    worked_out = [needs(load, unit, _JOB_SECONDS, limits=_LIMITS, prices=_PRICES) for load, unit in loads.values()]
    table = _table(f"What it takes, where a job has the slot for {_JOB_SECONDS} s", [*loads])
    table.add_row("batches a second", *(f"{load.batches_a_second:,.0f}" for load, _ in loads.values()))
    table.add_row("IDs a second", *(f"{load.ids_a_second:,.0f}" for load, _ in loads.values()))
    table.add_row("Apps", *(f"{each.apps:,}" for each in worked_out))
    for name, figures in (
        ("processors for workers", [each.worker_cpus for each in worked_out]),
        ("Redis commands a second", [each.redis_commands for each in worked_out]),
        ("processors for Redis", [each.redis_cpus for each in worked_out]),
        ("store, writes and listings a second", [each.writes for each in worked_out]),
        ("store, reads a second", [each.reads for each in worked_out]),
        ("store, GB a day", [each.stored_gb_a_day for each in worked_out]),
        ("events, GB a day", [each.event_gb_a_day for each in worked_out]),
        ("Redis, GB that it remembers", [each.remembered_gb for each in worked_out]),
    ):
        table.add_row(name, *(_three_digits(figure) for figure in figures))
    for name in worked_out[0].dollars:
        table.add_row(f"$ a month: {name}", *(f"{each.dollars[name]:,.0f}" for each in worked_out))
    table.add_row("$ a month", *(f"{sum(each.dollars.values()):,.0f}" for each in worked_out))
    return table


def _bounds_table(unit: PerBatch) -> Table:
    table = _table("What runs out first, of one App on one small machine", ["times the base load"])
    for bound in bounds(unit, BASE_LOAD, _LIMITS, _MACHINE):
        table.add_row(bound.what, f"{bound.times:,.1f}")
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _of_ids(costs: Costs, seconds: float) -> str:
    return _three_digits(seconds * 1e6 / costs.ids)


def _three_digits(figure: float) -> str:
    """Show about three digits: what was measured is not known more exactly."""
    return f"{figure:,.{max(0, 2 - int(math.log10(max(figure, 1))))}f}"
