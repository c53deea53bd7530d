"""Turns what was read into HTML. Everything is escaped: names, labels and errors are other people's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from complyq_producer.cli.describing import clock, describe, label, lateness, mega, phase, share_done
from complyq_producer.cli.overview_tables import budget_cells, told
from complyq_producer.dashboard.timeline import Stage
from complyq_producer.facts import utc_now
from complyq_producer.live import ENDPOINTS
from complyq_producer.model import ComplianceType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from complyq_producer.dashboard.batch_page import BatchPage
    from complyq_producer.dashboard.board import Board
    from complyq_producer.dashboard.shared import Fragments
    from complyq_producer.dashboard.timeline import Course
    from complyq_producer.overview import JobOverview
    from complyq_producer.status import BatchStatus

TITLES = {ComplianceType.TWEETS: "Posts", ComplianceType.USERS: "Users"}
_BOARD = ("summary", "problem", "slots", "timeline", "batches", "results", "asof")
_BATCH = ("summary", "batch", "trouble", "timeline", "results", "parts", "events", "history", "asof")


class Pages:
    """The templates. Safe among threads."""

    def __init__(self, namespace: str) -> None:
        self._templates = Environment(
            loader=PackageLoader("complyq_producer.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "clock": clock, "mega": mega, "number": "{:,}".format, "rfc3339": "{:%Y-%m-%dT%H:%M:%SZ}".format, "sentence": _sentence,
        }  # fmt: skip
        self._templates.globals |= {
            "namespace": namespace, "titles": TITLES, "endpoints": ENDPOINTS, "describe": _described, "label": label,
            "lateness": lateness, "share_done": share_done, "phase": phase, "told": told, "budget_cells": budget_cells,
            "share_of_slot": share_of_slot, "seconds_since": _seconds_since,
        }  # fmt: skip

    def board(self, board: Board) -> Fragments:
        """Write the pieces of the first page."""
        return {name: self._write(f"board/{name}.html", board=board) for name in _BOARD}

    def batch(self, page: BatchPage) -> Fragments:
        """Write the pieces of a batch's page."""
        return {name: self._write(f"batch/{name}.html", page=page, status=page.status) for name in _BATCH}

    def page(self, name: str, fragments: Fragments | None = None, **values: object) -> str:
        """Write a whole page around its pieces, which are HTML already."""
        pieces = {piece: Markup(html) for piece, html in (fragments or {}).items()}  # noqa: S704 - ours, escaped above
        return self._write(f"{name}.html", fragments=pieces, **values)

    def _write(self, template: str, **values: object) -> str:
        return self._templates.get_template(template).render(**values)


def share_of_slot(slot: JobOverview, courses: Sequence[Course], job_seconds: float | None) -> float | None:
    """Tell how much of what a job is at is done, in percent: of its upload, or of the time that X usually takes."""
    if slot.phase == "uploading" and slot.bytes_total:
        return round(100 * slot.bytes_done / slot.bytes_total, 1)
    spans = [span for course in courses if course.number == slot.plan for span in course.spans]
    checking = sum(span.seconds for span in spans if span.stage is Stage.CHECKING)
    return round(min(99.0, 100 * checking / job_seconds), 1) if checking and job_seconds else None


def _described(status: BatchStatus) -> str:
    """Say how far a batch is. When it may end, and whether that is too late, the page says in the reader's time."""
    return describe(msgspec.structs.replace(status, estimate=None, late=False))


def _sentence(text: str) -> str:
    """Begin with a capital; all else stays."""
    return text[:1].upper() + text[1:]


def _seconds_since(time: datetime) -> float:
    return max(0.0, (utc_now() - time).total_seconds())
