"""Which step a process goes on with by itself, without a message that another one would have to take. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_config.celery_settings import TRANSFER_TASKS
from complyq_producer import task_names

if TYPE_CHECKING:
    from complyq_workers.pipeline import Hint, Outcome


def carried_on(begun_with: Hint, outcome: Outcome) -> Hint | None:
    """Choose the hint of an outcome that the same process may follow: the last one, unless it is one of many.

    Transfers are left to the processes that are there for them, but for light ones. So are the many hints of a sweep, most of which are
    about work that is under way.

    Args:
        begun_with: the hint that came as a message.
        outcome: what the last step has led to.
    """
    if begun_with.task == task_names.SWEEP or not outcome.hints:
        return None
    *others, last = outcome.hints
    if any(other.task == last.task for other in others):
        return None
    takes_long = last.task in TRANSFER_TASKS and not last.is_light
    return None if takes_long and begun_with.task not in TRANSFER_TASKS else last
