"""Steps as spans: each belongs to the trace of its batch, or to that of a job that carries several batches.

A step learns what it is about from the facts, while it runs. So its span is begun then, with the time at which the step
began; one that is about nothing in particular has none.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from complyq_producer import tracing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from complyq_producer.facts import Plan
    from complyq_producer.ledger import BatchView
    from complyq_producer.model import BatchId, ComplianceType
    from complyq_workers.pipeline.ports import Ports


@dataclass(slots=True)
class _Step:
    name: str
    began_ns: int
    span: Any = None


_running: ContextVar[_Step | None] = ContextVar("complyq_step", default=None)


@contextmanager
def traced(task: str) -> Iterator[None]:
    """Trace a step, once it is known what it belongs to."""
    if not tracing.is_on():
        yield
        return
    step = _Step(task, time.time_ns())
    token = _running.set(step)
    try:
        yield
    except BaseException as error:
        failed(error)
        raise
    finally:
        _running.reset(token)
        if step.span is not None:
            step.span.end()


def failed(error: BaseException) -> None:
    """Mark the step that runs as failed."""
    step = _running.get()
    if step is not None and step.span is not None:
        tracing.fail(step.span, error)


def work_on_job(plan: Plan) -> None:
    """The step that runs is one of a job: it belongs to the trace of its plan."""
    attributes: dict[str, str | int] = {"complyq.plan": plan.number, "complyq.job": plan.job_id}
    _begin(plan.traceparent, (), attributes | {"complyq.type": plan.type.value})


def work_on_batch(view: BatchView) -> None:
    """The step that runs publishes a batch: it belongs to its trace, and tells which jobs had it."""
    jobs = dict.fromkeys(part.traceparent for part in view.checked.values())
    attributes = {"complyq.type": view.record.type.value, "complyq.batch": view.record.batch_id}
    _begin(view.record.traceparent, jobs, attributes)


def planned(ports: Ports, type_: ComplianceType, number: int, batch_ids: Sequence[BatchId]) -> str | None:
    """The step that runs plans a job: in the trace of its batch, or in one of its own that tells of all of them.

    Returns:
        The traceparent to which the job's steps belong; None if there is none.
    """
    if _running.get() is None:
        return None
    found = map(ports.ledger.accepted, batch_ids[: tracing.MOST_LINKS])
    traces = [record.traceparent for record, _ in filter(None, found)]
    alone = traces[0] if len(batch_ids) == 1 and traces else None
    links = () if alone else traces
    attributes: dict[str, str | int] = {"complyq.plan": number, "complyq.batches": len(batch_ids)}
    return _begin(alone, links, attributes | {"complyq.type": type_.value})


def _begin(parent: str | None, links: Iterable[str | None], attributes: Mapping[str, str | int]) -> str | None:
    step = _running.get()
    if step is None:
        return None
    if step.span is None:
        step.span = tracing.begin_span(step.name, step.began_ns, parent=parent, links=links, attributes=attributes)
    return tracing.traceparent_of(step.span) if step.span is not None else None
