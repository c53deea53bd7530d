"""The queries that docs/operations.md gives for the log answer what they say they do."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.prometheus_server import needs

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
LINES: list[dict[str, Any]] = [
    {"event": "job_created", "type": "tweets", "plan": 6, "remote": "66", "timestamp": "2026-11-22T11:00:00Z"},
    {
        "event": "x_answered",
        "endpoint": "get",
        "status": 200,
        "type": "tweets",
        "plan": 6,
        "timestamp": "2026-11-22T11:10Z",
    },
    {
        "event": "x_answered",
        "endpoint": "get",
        "status": 503,
        "type": "tweets",
        "plan": 6,
        "timestamp": "2026-11-22T11:11Z",
    },
    {
        "event": "x_answered",
        "endpoint": "get",
        "status": None,
        "type": "tweets",
        "plan": 6,
        "timestamp": "2026-11-22T11:12Z",
    },
    {"event": "step_postponed", "type": "tweets", "plan": 6, "error": "no answer", "timestamp": "2026-11-22T11:13Z"},
    {"event": "step_postponed", "type": "tweets", "plan": 6, "error": "no answer", "timestamp": "2026-11-22T11:14Z"},
    {"event": "foreign_job_active", "type": "users", "timestamp": "2026-11-22T11:15Z"},
    {"event": "job_finished", "type": "tweets", "plan": 6, "timestamp": "2026-11-22T11:30:00Z"},
    {"event": "job_created", "type": "tweets", "plan": 7, "remote": "77", "timestamp": "2026-11-22T11:31:00Z"},
    {"event": "foreign_job_active", "type": "tweets", "timestamp": "2026-11-22T11:32Z"},
    {"event": "job_finished", "type": "tweets", "plan": 7, "timestamp": "2026-11-22T12:30:00Z"},
    {
        "event": "batch_ended_late",
        "batch": "b-1",
        "state": "completed",
        "seconds_late": 61.5,
        "timestamp": "2026-11-22T12:31Z",
    },
]
ANSWERS = {
    "Why does my batch wait": [
        "2026-11-22T11:32Z 1 times foreign_job_active ",
        "2026-11-22T11:14Z 2 times step_postponed no answer",
    ],
    "Who held the slot": ["plan 7, X's job 77"],
    "What did X answer": [
        "2026-11-22T11:11Z get 503 tweets plan 6",
        "2026-11-22T11:12Z get no answer tweets plan 6",
    ],
    "Which batches were late": ["b-1 completed 61 s"],
}


def queries() -> Iterator[tuple[str, str]]:
    """Read each question and its command."""
    section = OPERATIONS.read_text().split("## Logs")[1].split("## Redis keys")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for paragraph in block.strip().split("\n\n"):
        comment, _, command = paragraph.partition("\n")
        yield comment.removeprefix("# "), command


@pytest.mark.parametrize(("question", "command"), list(queries()), ids=lambda text: text[:24])
def test_a_query_answers_its_question(tmp_path: Path, question: str, command: str) -> None:
    """On lines as workers write them."""
    needs("jq")
    (tmp_path / "workers.log").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    (expected,) = [answer for asked, answer in ANSWERS.items() if question.startswith(asked)]
    assert done.stdout.splitlines() == expected
