"""`python -m costing.worker …`: `complyq worker` that notes what each of its steps costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_workers.command import main
from complyq_workers.pipeline import Pipeline
from costing.notes import StoreRequests, Stretch, append

if TYPE_CHECKING:
    from collections.abc import Callable

    from complyq_workers.pipeline import Hint, Outcome

    Run = Callable[[Pipeline, Hint], Outcome]


def noting(run: Run, requests: StoreRequests) -> Run:
    """Have each step noted that is run."""

    def run_and_note(pipeline: Pipeline, hint: Hint) -> Outcome:
        stretch = Stretch(requests)
        try:
            return run(pipeline, hint)
        finally:
            append(stretch.note(hint.task.removeprefix("complyq.")))

    return run_and_note


if __name__ == "__main__":
    # Before Celery forks: its processes have all of this.
    counted = StoreRequests()
    counted.count_all()
    setattr(Pipeline, Pipeline.run.__name__, noting(Pipeline.run, counted))
    main()
