"""Tools that others use read stored results as the documentation says."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from complyq_producer.results import Result
from support.command_line import CommandLine
from support.simulator_process import Simulator
from support.world import POSTS, World

DOCUMENTED = Path(__file__).parents[2] / "docs" / "events.md"


@pytest.fixture
def parquet_world(cloud_world: World) -> World:
    """A world whose results are Parquet alone."""
    cloud_world.workers.change_limits(results_format="parquet", events_inline_max=100)
    return cloud_world


def documented(*libraries: str) -> str:
    """The examples about some libraries, of two lines each."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    (urls,) = [block for block in blocks if block.startswith("urls = ")]
    chosen = [block for block in blocks if any(block.startswith(f"import {library}\n") for library in libraries)]
    assert [len(block.splitlines()) for block in chosen] == [2] * len(libraries)
    return "".join([urls, *chosen])


def end_of(world: World, batch_id: str) -> SimpleNamespace:
    """The last event of a batch, as a listener gets it."""
    world.finish(batch_id)
    (data,) = [event["data"] for event in world.events() if event["id"] == f"{batch_id}/completed"]
    return SimpleNamespace(data=data)


def test_duckdb_reads_results_as_documented(parquet_world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """In two lines: counts by action are those of the batch's end."""
    event = end_of(parquet_world, parquet_world.producer.enqueue(POSTS, "tweets").id)
    scope: dict[str, Any] = {"event": event}
    capsys.readouterr()
    exec(documented("duckdb"), scope)  # noqa: S102 - it is our own documentation
    shown = capsys.readouterr().out
    for action, count in event.data["by_action"].items():
        assert re.search(rf"│ {action} +│ +{count} │", shown)
    query = "SELECT id, epoch_ms(created_at), extras FROM read_parquet($urls)"
    rows = scope["duckdb"].sql(query, params={"urls": scope["urls"]}).fetchall()
    assert {str(row[0]) for row in rows} == parquet_world.flagged(event.data["batch_id"])


def test_pandas_reads_results_as_documented(parquet_world: World) -> None:
    """In two lines: IDs are whole numbers, times have a zone, words are text."""
    event = end_of(parquet_world, parquet_world.producer.enqueue(POSTS, "tweets").id)
    scope: dict[str, Any] = {"event": event}
    exec(documented("pandas"), scope)  # noqa: S102 - it is our own documentation
    flagged = scope["flagged"]
    results = list(parquet_world.producer.results(event.data["batch_id"]))
    assert flagged["id"].dtype == "uint64"
    assert list(map(str, flagged["id"])) == [result.id for result in results]
    assert dict(flagged["action"].value_counts()) == event.data["by_action"]
    assert str(flagged["created_at"].dtype) == "datetime64[ms, UTC]"
    assert [_known(row) for row in flagged.to_dict("records")] == [_text(result) for result in results]


def _known(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row says of its times, as a stored line has them."""
    return tuple(None if time != time else f"{time:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z" for time in _times(row))  # noqa: PLR0124


def _times(row: dict[str, Any]) -> tuple[Any, Any]:
    return row["created_at"], row["redacted_at"]


def _text(result: Result) -> tuple[str | None, str | None]:
    return result.created_at, result.redacted_at


def test_complyq_results_prints_lines_of_tables(parquet_world: World, tmp_path: Path, cloud: Simulator) -> None:
    """The same that the library gives, to standard output or to a file."""
    batch = parquet_world.producer.enqueue(POSTS, "tweets")
    parquet_world.finish(batch.id)
    cli = CommandLine(tmp_path)
    expected = [json.loads(result.to_json()) for result in parquet_world.producer.results(batch.id)]
    shown = cli.run("results", batch.id)
    assert (shown.code, shown.lines()) == (0, expected)
    assert cli.run("results", batch.id, "--out", "r.jsonl").code == 0
    assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()] == expected
