"""Collecting as JSON lines, as Parquet, or both, with the process that writes tables."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

import pyarrow.parquet as pq
import pytest

from complyq_config.settings import ResultsFormat
from complyq_producer.model import ObjectFormat
from complyq_producer.stored_lines import stored_lines
from complyq_workers.results import Collection, PartFiles, PartIds, index_ids
from complyq_workers.results.outputs import Packed
from complyq_workers.results.rows import NO_ROWS
from complyq_workers.results.table_process import Begin, TableError, TableProcess
from support.collecting import collect_answer
from support.processes import ends

POSTS = range(1, 3_000)


def line(identifier: int, **fields: object) -> bytes:
    """A line as X would send it."""
    return json.dumps({"id": str(identifier), **fields}).encode() + b"\n"


LINES = [
    *(line(number, action="delete", reason="deleted", created_at="2019-10-29T17:02:47Z") for number in POSTS[:900]),
    *(
        line(number, action=None, reason=f"r{number}", created_at="2019-10-29T19:02:47+02:00")
        for number in POSTS[900:990]
    ),
    *(line(number, action="hide", note={"a": number}) for number in POSTS[990:1000]),
    *(line(number, error="invalid_id") for number in POSTS[1000:1010]),
]


def collected(folder: Path, results_format: ResultsFormat, lines: Iterable[bytes] = LINES) -> Collection:
    """Collect an answer about three parts of a batch, of which nothing is flagged in the last."""
    folder = Path(mkdtemp(dir=folder))
    spool = folder / "spool"
    spool.mkdir()
    (folder / "answer").write_bytes(b"".join(lines))
    parts = [_part(folder, number, POSTS[number * 1_000 :][:1_000]) for number in range(3)]
    index = index_ids(parts, folder)
    return collect_answer(folder / "answer", parts, index, spool_dir=spool, results_format=results_format)


def _part(folder: Path, number: int, ids: range) -> PartIds:
    path = folder / f"ids-{number}"
    path.write_text("".join(f"{identifier}\n" for identifier in ids))
    return PartIds("b", number, lambda: path.open("rb"))


def lines_of(path: Path, format_: ObjectFormat) -> list[bytes]:
    """Read a file of results."""
    with path.open("rb") as file:
        return list(stored_lines(file, format_, path.parent))


def everything(files: PartFiles) -> list[bytes]:
    """The results of a part, the same in all of its files."""
    of_first = lines_of(files.results, files.format)
    for other in files.also:
        assert lines_of(other.path, other.format) == of_first
    return of_first


def test_every_format_holds_the_same_results(tmp_path: Path) -> None:
    """Also lines of no shape, fields that X added, and parts with nothing in them; errors are JSON lines always."""
    wanted: list[ResultsFormat] = ["jsonl", "parquet", "both"]
    by_format = {results_format: collected(tmp_path, results_format).parts for results_format in wanted}
    assert [len(everything(files)) for files in by_format["jsonl"]] == [1_000, 0, 0]
    for parts in by_format.values():
        assert [everything(files) for files in parts] == [everything(files) for files in by_format["jsonl"]]
        assert [files.rejected and len(gzip.decompress(files.rejected.read_bytes()).splitlines()) for files in parts] == [
            None, 10, None,
        ]  # fmt: skip


def test_files_are_told_by_their_format(tmp_path: Path) -> None:
    """Lines come first where both are wanted; counts and messages do not depend on the format."""
    jsonl, parquet, both = (collected(tmp_path, wanted).parts[0] for wanted in ("jsonl", "parquet", "both"))
    assert [(files.format, [other.format for other in files.also]) for files in (jsonl, parquet, both)] == [
        (ObjectFormat.JSON_LINES, []),
        (ObjectFormat.PARQUET, []),
        (ObjectFormat.JSON_LINES, [ObjectFormat.PARQUET]),
    ]
    assert both.summary == jsonl.summary
    assert (parquet.summary.bytes, parquet.summary.sha256) == (both.also[0].packed.bytes, both.also[0].packed.sha256)
    assert (parquet.summary.count, parquet.summary.messages) == (jsonl.summary.count, jsonl.summary.messages)
    assert (parquet.summary.by_action, parquet.summary.by_reason) == (jsonl.summary.by_action, jsonl.summary.by_reason)


def test_order_of_the_answer_does_not_change_a_byte_of_a_table(tmp_path: Path) -> None:
    """Who collects once more can tell that what stands in the store is the same."""
    shuffled = random.Random(3).sample(LINES, len(LINES))
    first, again = (collected(tmp_path, "parquet", lines).parts for lines in (LINES, shuffled))
    assert [files.results.read_bytes() for files in first] == [files.results.read_bytes() for files in again]


def test_nothing_is_left_but_the_files_of_parts(tmp_path: Path) -> None:
    """Rows on their way to the other process are removed when they have been read."""
    parts = collected(tmp_path, "both").parts
    made = {
        path for files in parts for path in (files.results, files.rejected, *(one.path for one in files.also)) if path
    }
    assert set(parts[0].results.parent.iterdir()) == made


COLLECT = """
import sys
from pathlib import Path
from complyq_workers.results import AnswerRows, PartIds, collect, index_ids
folder = Path(sys.argv[1])
parts = [PartIds("b", 0, lambda: (folder / "ids").open("rb"))]
index = index_ids(parts, folder)
answer = AnswerRows("tweets", folder)
answer.read(folder / "answer")
found = collect(answer, parts, index, spool_dir=folder, results_format="both")
print(found.parts[0].also[0].packed.lines, *sorted({"pyarrow", "pandas"} & set(sys.modules)))
"""


def test_a_worker_takes_no_library_for_parquet_into_its_memory(tmp_path: Path) -> None:
    """Its memory is what it needs for collecting as JSON lines alone."""
    (tmp_path / "ids").write_text("7\n8\n")
    (tmp_path / "answer").write_bytes(line(7, action="delete"))
    command = [sys.executable, "-c", COLLECT, str(tmp_path)]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout == b"1\n"


def test_a_table_that_lacks_a_row_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever went wrong between the processes: what was counted must be there."""
    monkeypatch.setattr(TableProcess, "write", lambda *_: Packed(999, 1, "sha"))
    with pytest.raises(TableError, match="1000 results became 999"):
        collected(tmp_path, "parquet")


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[TableProcess]:
    """A process that writes tables."""
    with closing(TableProcess(tmp_path)) as process:
        yield process


def begun(tables: TableProcess, folder: Path) -> None:
    """Tell it what rows refer to: nothing."""
    tables.begin(Begin("tweets", {}, {}, folder / "odd", ()))


def test_a_table_that_cannot_be_written_is_told(tables: TableProcess, tmp_path: Path) -> None:
    """With the reason, and the process writes the next one."""
    begun(tables, tmp_path)
    with pytest.raises(TableError, match="table cannot be written: FileNotFoundError"):
        tables.write(iter([NO_ROWS]), tmp_path / "nowhere" / "table")
    assert tables.write(iter([NO_ROWS]), tmp_path / "table").lines == 0
    assert pq.read_table(tmp_path / "table").num_rows == 0


def test_a_process_that_died_is_told(tables: TableProcess, tmp_path: Path) -> None:
    """The step ends with an error and is tried again; it does not wait for ever."""
    begun(tables, tmp_path)
    os.kill(tables.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(TableError, match="ended with -9"):
            tables.write(iter([NO_ROWS]), tmp_path / "table")


def test_a_worker_that_is_told_to_stop_gets_its_table(tables: TableProcess, tmp_path: Path) -> None:
    """SIGTERM may reach all processes of a service: steps that run still end."""
    begun(tables, tmp_path)
    tables.write(iter([NO_ROWS]), tmp_path / "first")
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(tables.pid, number)
    assert tables.write(iter([NO_ROWS]), tmp_path / "second").lines == 0


def test_no_process_outlives_its_worker(tmp_path: Path) -> None:
    """One that was killed leaves none behind."""
    program = (
        "import os, sys; from pathlib import Path; from complyq_workers.results.table_process import TableProcess;"
        "print(TableProcess(Path(sys.argv[1])).pid, flush=True); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", program, tmp_path], check=False, stdout=subprocess.PIPE)
    assert ends(int(dead.stdout))
