"""What a hint may carry: messages come from a broker, where others may write too."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from complyq_config.errors import ComplyqError
from complyq_producer import task_names
from complyq_producer.model import BatchId, ComplianceType, ReplayId
from complyq_workers.pipeline.step import Hint

_PlanNumber = Annotated[int, msgspec.Meta(ge=1, le=99_999_999)]  # eight digits, as in the keys of the store
_UUID = msgspec.Meta(pattern=r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_BatchId = Annotated[BatchId, _UUID]
_ReplayId = Annotated[ReplayId, _UUID]

ARGUMENTS: dict[str, Any] = {
    task_names.PLAN: tuple[ComplianceType],
    task_names.MERGE_JOB: tuple[ComplianceType, _PlanNumber],
    task_names.CREATE_JOB: tuple[ComplianceType, _PlanNumber],
    task_names.UPLOAD_JOB: tuple[ComplianceType, _PlanNumber],
    task_names.POLL_JOB: tuple[ComplianceType, _PlanNumber],
    task_names.COLLECT_JOB: tuple[ComplianceType, _PlanNumber],
    task_names.PUBLISH_BATCH: tuple[_BatchId],
    task_names.SWEEP: tuple[()],
    task_names.REPLAY: tuple[_ReplayId],
    task_names.PURGE: tuple[()],
}
"""The tasks that exist, and what each is told."""


class MalformedHintError(ComplyqError):
    """A message asks for a step that does not exist, or names something impossible."""


def arguments_of(hint: Hint) -> tuple[Any, ...]:
    """Return what the task of a hint is told, as the types that `ARGUMENTS` says.

    Nothing is bent into shape: 1 and "01" would be two leases on one step.

    Raises:
        MalformedHintError: if no step can be meant.
    """
    if hint.task not in ARGUMENTS:
        raise MalformedHintError(f"there is no task {hint.task!r}")
    try:
        arguments: tuple[Any, ...] = msgspec.convert(hint.args, ARGUMENTS[hint.task])
    except msgspec.ValidationError as error:
        raise MalformedHintError(f"no step is meant by {hint.task}{hint.args!r}: {error}") from error
    return arguments
