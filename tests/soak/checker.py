"""Judges what a phase of a soak left behind, trusting nothing but journal, queue, store and callers.

`python -m soak.checker FOLDER…` judges kept folders once more.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from soak import batch_rules, event_rules, journal_rules
from soak.evidence import Evidence, load

Rule = Callable[[Evidence], Iterator[str]]

RULES: tuple[Rule, ...] = (
    batch_rules.no_batch_is_lost,
    batch_rules.same_key_same_batch,
    batch_rules.batches_end_as_they_must,
    batch_rules.counts_add_up,
    batch_rules.results_are_exact,
    batch_rules.nothing_is_left_open,
    batch_rules.no_secret_is_written,
    event_rules.same_id_same_content,
    event_rules.events_keep_the_contract,
    event_rules.everything_is_delivered,
    event_rules.one_end_for_a_batch,
    event_rules.no_event_is_foreign,
    event_rules.results_come_before_the_end,
    journal_rules.one_active_job_of_a_type,
    journal_rules.jobs_belong_to_plans,
    journal_rules.one_upload_for_a_plan,
    journal_rules.bearer_stays_home,
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule.replace('_', ' ')}: {self.what}"


def check(evidence: Evidence) -> list[Violation]:
    """Return all violations of all rules."""
    return [Violation(rule.__name__, what) for rule in RULES for what in rule(evidence)]


def main() -> int:
    """Judge the folders that are named."""
    found = [(folder, violation) for folder in sys.argv[1:] for violation in check(load(Path(folder)))]
    sys.stdout.writelines(f"{folder}: {violation}\n" for folder, violation in found)
    sys.stdout.write(f"{len(found)} violations\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
