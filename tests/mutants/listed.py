"""All mutants."""

from __future__ import annotations

from mutants.of_answers import ANSWERS
from mutants.of_dashboard import DASHBOARD
from mutants.of_events import EVENTS
from mutants.of_observing import OBSERVING
from mutants.of_plans import PLANS
from mutants.of_replays import PURGED, REPLAYED
from mutants.of_results import RESULTS
from mutants.of_scheduler import SCHEDULER
from mutants.of_secrets import SECRETS
from mutants.of_sharing import SHARING
from mutants.of_slots import SLOTS
from mutants.of_steps import STEPS
from mutants.of_store import STORE
from mutants.of_tables import TABLES
from mutants.of_uploads import UPLOADS
from mutants.of_x import X

MUTANTS = (
    *STORE,
    *PLANS,
    *SCHEDULER,
    *SLOTS,
    *STEPS,
    *UPLOADS,
    *ANSWERS,
    *RESULTS,
    *SHARING,
    *TABLES,
    *EVENTS,
    *X,
    *SECRETS,
    *REPLAYED,
    *PURGED,
    *DASHBOARD,
    *OBSERVING,
)
