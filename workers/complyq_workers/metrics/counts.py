"""What happened since Redis last lost what it held: counters and histograms, told from one hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, product
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from complyq_producer.live import ENDPOINTS
from complyq_producer.model import ComplianceType
from complyq_workers.coordination import Counter, Histogram
from complyq_workers.coordination.tally import BUCKETS, SEPARATOR, SUM
from complyq_workers.counting import UNANSWERED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

Counts = Mapping[str, int]
Labels = tuple[str, ...]

TYPES = tuple(map(str, ComplianceType))
STATES = ("completed", "failed", "cancelled")
STORAGE_ENDPOINTS = ("session", "upload", "offset", "download")
WATCHED = ("409", "413", "429", "500", "502", "503", "504", UNANSWERED)
"""Statuses that are shown as 0 before they first occur: Prometheus sees no increase in what was not there before."""


@dataclass(frozen=True, slots=True)
class Count:
    """A counter: which fields of the hash it shows, and with which labels."""

    name: str
    help: str
    counter: Counter
    labels: Labels = ()
    zeros: Iterable[Labels] = ()
    """The labels that are shown though nothing was counted under them."""
    only: Labels | None = None
    """Where given, the one field that it shows: its labels in the hash, in place of its own."""

    def family(self, counts: Counts) -> Metric:
        """Make the samples."""
        family = CounterMetricFamily(self.name, self.help, labels=self.labels)
        if self.only is not None:
            family.add_metric([], counts.get(SEPARATOR.join((self.counter, *self.only)), 0))
            return family
        found = dict.fromkeys(self.zeros, 0) | dict(_labelled(counts, self.counter))
        for labels, amount in sorted(found.items()):
            if len(labels) == len(self.labels):  # a newer version may have more of them
                family.add_metric(labels, amount)
        return family


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram of seconds, by type."""

    name: str
    help: str
    histogram: Histogram

    def family(self, counts: Counts) -> Metric:
        """Make the samples."""
        family = HistogramMetricFamily(self.name, self.help, labels=["type"])
        of = {labels: amount for labels, amount in _labelled(counts, self.histogram) if len(labels) == 2}
        for type_ in TYPES:
            reached = accumulate(of.get((type_, str(bucket)), 0) for bucket in BUCKETS)
            buckets = list(zip(map(floatToGoString, BUCKETS), map(float, reached), strict=True))
            family.add_metric([type_], buckets, sum_value=of.get((type_, SUM), 0) / 1000)
        return family


def _labelled(counts: Counts, name: str) -> Iterator[tuple[Labels, int]]:
    for field, amount in counts.items():
        first, *labels = field.split(SEPARATOR)
        if first == name:
            yield tuple(labels), amount


Family = Callable[[Counts], "Metric"]

COUNTS: tuple[Count, ...] = (
    Count("complyq_batches_ended_total", "Batches that ended.",
        Counter.BATCHES_ENDED, ("type", "state"), tuple(product(TYPES, STATES))),
    Count("complyq_batches_ended_late_total", "Batches that ended after their deadline.",
        Counter.BATCHES_ENDED_LATE, ("type",), tuple(product(TYPES))),
    Count("complyq_events_published_total", "Events that the results queue has confirmed.",
        Counter.EVENTS_PUBLISHED, ("event",), (("results",), *product(STATES), ("parked",))),
    Count("complyq_answers_total", "Answers of X and its storage, by what was asked for; `none` where none came.",
        Counter.ANSWERS, ("endpoint", "status"), tuple(product((*ENDPOINTS, *STORAGE_ENDPOINTS), WATCHED))),
    Count("complyq_uploaded_bytes_total", "Bytes of payloads that were sent, those that were lost included.",
        Counter.BYTES, only=("upload", "sent")),
    Count("complyq_downloaded_bytes_total", "Bytes of results that came, those that came again included.",
        Counter.BYTES, only=("download", "received")),
    Count("complyq_upload_resumptions_total", "How often an upload went on from the offset that the server told.",
        Counter.ANSWERS, only=("offset", "308")),
    Count("complyq_download_resumptions_total", "How often a download went on where it had broken off.",
        Counter.ANSWERS, only=("download", "206")),
    Count("complyq_step_failures_total", "Steps that failed and are tried again, by the kind of error.",
        Counter.STEP_FAILURES, ("step", "error"), (("publish_batch", "Events"),)),
    Count("complyq_steps_parked_total", "Steps that were parked, because they crashed their process every time.",
        Counter.STEPS_PARKED, ("step",)),
)  # fmt: skip
DURATIONS: tuple[Durations, ...] = (
    Durations("complyq_delivery_seconds", "From the acceptance of a batch until its last event was confirmed.",
        Histogram.DELIVERY),
    Durations("complyq_job_duration_seconds", "From the end of an upload until X was seen to have completed the job.",
        Histogram.JOB),
)  # fmt: skip
FAMILIES: tuple[Family, ...] = (*(count.family for count in COUNTS), *(each.family for each in DURATIONS))
