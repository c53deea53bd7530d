"""Decides how a batch ends, and puts its events on the results queue: results first, the end last."""

from __future__ import annotations

import structlog

log = structlog.get_logger(__name__)
