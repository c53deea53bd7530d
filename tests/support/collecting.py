"""X's answer, taken apart in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from complyq_config.settings import ResultsFormat
from complyq_workers.results import AnswerRows, Collection, IdIndex, PartIds, collect


def collect_answer(
    path: Path,
    parts: Sequence[PartIds],
    index: IdIndex,
    *,
    spool_dir: Path,
    results_format: ResultsFormat = "jsonl",
    beat: Callable[[], None] = lambda: None,
) -> Collection:
    """Read the answer about Posts in this file, then collect the results of each part."""
    with TemporaryDirectory(dir=spool_dir) as folder, closing(AnswerRows("tweets", Path(folder))) as answer:
        answer.read(path, beat)
        return collect(answer, parts, index, spool_dir=spool_dir, results_format=results_format, beat=beat)
