"""The steps of a job, from a plan to published events: each bounded, leased, and told by the facts where to go on."""

from complyq_workers.pipeline.lease import StepLease, kept_by_thread
from complyq_workers.pipeline.pipeline import Pipeline
from complyq_workers.pipeline.ports import Limits, Ports
from complyq_workers.pipeline.remote import Remote
from complyq_workers.pipeline.step import Hint, Outcome

__all__ = ["Hint", "Limits", "Outcome", "Pipeline", "Ports", "Remote", "StepLease", "kept_by_thread"]
