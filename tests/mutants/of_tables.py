"""Guards of results as Parquet: the same results as in JSON lines, or none."""

from __future__ import annotations

from mutants.mutant import PRODUCER, WORKERS, Mutant

READING, COLUMNS = f"{PRODUCER}/tables.py", f"{WORKERS}/results/columns.py"
STORING = f"{WORKERS}/pipeline/storing.py"
OF_TABLES, OF_FORMATS = "unit/test_results_tables.py", "unit/test_results_formats.py"
THROUGH = "integration/test_results_formats.py"

TABLES = (
    Mutant(
        name="tables: checksums of pages",
        protects="a table with another byte than was stored is not believed",
        file=READING,
        old="page_checksum_verification=True",
        new="page_checksum_verification=False",
        tests=(f"{OF_TABLES}::test_no_changed_byte_changes_a_result",),
    ),
    Mutant(
        name="tables: all rows",
        protects="a table that gives fewer rows than it has is not believed",
        file=READING,
        old="            if missing:  #",
        new="            if missing < 0:  #",
        tests=(f"{OF_TABLES}::test_no_changed_byte_changes_a_result",),
    ),
    Mutant(
        name="tables: columns",
        protects="another table than ours is not taken for one",
        file=READING,
        old="            if not {field.name: str(field.type) for field in table.schema_arrow}.items() >= COLUMNS.items():\n",
        new="            if not table.schema_arrow:\n",
        tests=(f"{OF_TABLES}::test_no_changed_byte_changes_a_result",),
    ),
    Mutant(
        name="tables: lines read one by one",
        protects="words beyond those that have numbers reach the table",
        file=COLUMNS,
        old='(rows["shape"] == UNSHAPED) | (rows["kind"] == UNTOLD)',
        new='rows["shape"] == UNSHAPED',
        tests=(f"{OF_TABLES}::test_more_words_than_there_are_numbers_for_are_kept",),
    ),
    Mutant(
        name="tables: order of words",
        protects="collecting twice gives the same bytes",
        file=COLUMNS,
        old="different = sorted({word for word in words if word is not None})",
        new="different = list(dict.fromkeys(word for word in words if word is not None))",
        tests=(f"{OF_TABLES}::test_the_order_in_which_x_sent_words_does_not_matter",),
    ),
    Mutant(
        name="tables: text of a row group",
        protects="long fields fill no memory, neither a writer's nor a reader's",
        file=COLUMNS,
        old=" or self._text_bytes >= _GROUP_TEXT_BYTES",
        new="",
        tests=(f"{OF_TABLES}::test_row_groups_are_of_a_bounded_size",),
    ),
    Mutant(
        name="tables: as many as were counted",
        protects="no result is lost on the way to the table",
        file=f"{WORKERS}/results/finishing.py",
        old="            if file.packed.lines != summary.count:\n",
        new="            if file.packed.lines < 0:\n",
        tests=(f"{OF_FORMATS}::test_a_table_that_lacks_a_row_is_noticed",),
    ),
    Mutant(
        name="tables: signals",
        protects="a worker that is told to stop ends its collection",
        file=f"{WORKERS}/results/child.py",
        old="signal.signal(number, signal.SIG_IGN)",
        new="signal.signal(number, signal.SIG_DFL)",
        tests=(f"{OF_FORMATS}::test_a_worker_that_is_told_to_stop_gets_its_table",),
    ),
    Mutant(
        name="tables: beside the lines of another",
        protects="a part's lines and its table say the same, though X told two workers different things",
        file=STORING,
        old="    if stored.summary.sha256 != files.summary.sha256:\n",
        new="    if stored.summary.sha256 != stored.summary.sha256:\n",
        tests=(f"{THROUGH}::test_objects_that_say_different_things_never_stand_side_by_side",),
    ),
    Mutant(
        name="tables: a table of another",
        protects="a part's table and its lines say the same, though X told two workers different things",
        file=STORING,
        old="    if sha256 != file.packed.sha256:\n",
        new="    if length < 0:\n",
        tests=(f"{THROUGH}::test_objects_that_say_different_things_never_stand_side_by_side",),
    ),
    Mutant(
        name="tables: to the last line",
        protects="results that begin alike are not taken for the same",
        file=STORING,
        old="        pairs = zip_longest(",
        new="        pairs = zip(",
        tests=(f"{THROUGH}::test_objects_that_say_different_things_never_stand_side_by_side",),
    ),
    Mutant(
        name="tables: objects that differ",
        protects="a part whose objects would differ is checked anew, not waited for",
        file=f"{WORKERS}/pipeline/collecting.py",
        old="        except DifferentResultsError as error:\n            return _unusable(ports, job, error)\n",
        new="        except DifferentResultsError:\n            raise\n",
        tests=(f"{THROUGH}::test_a_batch_of_parts_that_differ_is_checked_anew",),
    ),
    Mutant(
        name="tables: format of what counts",
        protects="results are read as what they were stored as",
        file=f"{WORKERS}/pipeline/publishing.py",
        old="CountedPart(part=part, plan=checked.plan, format=checked.results.format)",
        new="CountedPart(part=part, plan=checked.plan)",
        tests=(f"{THROUGH}::test_a_batch_may_be_stored_in_several_formats",),
    ),
    Mutant(
        name="tables: pyarrow at the start",
        protects="a worker that could not store results does not begin",
        file=f"{WORKERS}/command.py",
        old="    require_format(settings.results_format)\n",
        new="",
        tests=(f"{THROUGH}::test_a_worker_that_cannot_write_parquet_says_so_at_its_start",),
    ),
    Mutant(
        name="tables: pyarrow before reading",
        protects="who cannot read results is told before any of them",
        file=f"{PRODUCER}/stored_lines.py",
        old="    if any(part.format is ObjectFormat.PARQUET for part in outcome.counted):\n        require_pyarrow()\n",
        new="",
        tests=(f"{THROUGH}::test_results_that_cannot_be_read_here_are_refused_at_once",),
    ),
)
