"""Failpoints: names for the instants around every side effect, at which tests kill or freeze a worker.

They exist only where the environment variable COMPLYQ_FAILPOINTS names a file; otherwise nothing is wrapped.
"""

from complyq_workers.failpoints.points import VARIABLE, Action, Failpoints, When, reach
from complyq_workers.failpoints.ports import with_failpoints

__all__ = ["VARIABLE", "Action", "Failpoints", "When", "reach", "with_failpoints"]
