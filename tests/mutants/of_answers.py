"""Guards of X's answer: each line read as what it says, most of them as tables."""

from __future__ import annotations

from mutants.mutant import WORKERS, Mutant

ANSWER, PARSE, SHAPES = (f"{WORKERS}/results/{name}.py" for name in ("answer", "parse", "shapes"))
TOGETHER = f"{WORKERS}/together.py"
OF_PARSING, OF_SHAPES, OF_ALL_LINES, OF_TOGETHER = (
    f"unit/test_{name}.py" for name in ("results_parse", "results_shapes", "results_equivalence", "together")
)
COLLECTING, GUARDS = "unit/test_results_collect.py", "integration/test_guards_of_results.py"
DAYS = f"{OF_ALL_LINES}::test_days_are_those_of_the_calendar"
CLOCKS = f"{OF_ALL_LINES}::test_clocks_have_24_hours_and_60_minutes"
UNTOLD = f"{OF_SHAPES}::test_what_columns_cannot_tell_has_no_shape"
NOTICED_TWICE = f"{OF_SHAPES}::test_what_is_kept_in_place_of_another_field_is_noticed_twice"

ANSWERS = (
    Mutant(
        name="answer: length of a line",
        protects="a line without end fills no memory",
        file=ANSWER,
        old="else os.pread(file, min(most, MAX_LINE_BYTES + 1), offset)",
        new="else os.pread(file, min(most, 1 << 30), offset)",
        tests=(f"{GUARDS}::test_a_line_without_end_fills_no_memory",),
    ),
    Mutant(
        name="answer: long line",
        protects="a line that is too long is damaged, whatever it says",
        file=PARSE,
        old="    if len(line) > MAX_LINE_BYTES:\n",
        new="    if len(line) < 0:\n",
        tests=(f"{OF_PARSING}::test_damaged_lines_are_never_taken_for_anything",),
    ),
    Mutant(
        name="answer: depth",
        protects="a line nested without end breaks no reader",
        file=PARSE,
        old="    if is_deep:\n",
        new="    if is_deep and not fields:\n",
        tests=(f"{OF_PARSING}::test_damaged_lines_are_never_taken_for_anything",),
    ),
    Mutant(
        name="answer: damaged line",
        protects="a damaged line is never taken for compliant",
        file=ANSWER,
        old="            raise ResultsUnreadableError(number, _excerpt(line), str(error)) from error\n",
        new="            return None if number and _excerpt(line) and error else None\n",
        tests=(f"{COLLECTING}::test_damaged_line_stops_the_collection",),
    ),
    Mutant(
        name="answer: last line",
        protects="an answer that does not end with a line's end is read to its end",
        file=ANSWER,
        old="            if not size:",
        new="            if not size and offset:\n                return\n            if not size:",
        tests=(f"{OF_ALL_LINES}::test_a_damaged_line_is_named_by_its_number",),
    ),
    Mutant(
        name="answer: lines without a shape",
        protects="no line is lost for being written in another way",
        file=ANSWER,
        old="                others.append(places)\n",
        new="",
        tests=(f"{OF_ALL_LINES}::test_tables_say_what_each_line_says",),
    ),
    Mutant(
        name="answer: lines that do not fit their shape",
        protects="no line is lost for its odd digits",
        file=ANSWER,
        old="(pick(rows, plain), self._places[: self._count][~plain])",
        new="(pick(rows, plain), _NO_PLACES)",
        tests=(DAYS,),
    ),
    Mutant(
        name="answer: times of creation",
        protects="digits that are no time are not stored as one",
        file=ANSWER,
        old=" & _are_times(slots[:, 0])",
        new="",
        tests=(DAYS,),
    ),
    Mutant(
        name="answer: times of redaction",
        protects="digits that are no time are not stored as one",
        file=ANSWER,
        old=" & _are_times(slots[:, 1])",
        new="",
        tests=(DAYS,),
    ),
    Mutant(
        name="answer: years",
        protects="the year 0, which no calendar has, is not stored",
        file=ANSWER,
        old="(digits[:, 0] >= 1) & (digits[:, 0] <= 2)",
        new="(digits[:, 0] <= 2)",
        tests=(DAYS,),
    ),
    Mutant(
        name="answer: days",
        protects="days that a month does not have are not stored",
        file=ANSWER,
        old="(day <= _MONTH_DAYS[month])",
        new="(day <= 31) & (month >= 1) & (month <= 12)",
        tests=(DAYS,),
    ),
    Mutant(
        name="answer: first of a month",
        protects="no day 0 is stored",
        file=ANSWER,
        old=" & (day >= 1)",
        new="",
        tests=(DAYS,),
    ),
    Mutant(
        name="answer: hours",
        protects="no hour 24 is stored",
        file=ANSWER,
        old="(hour <= 23)",
        new="(hour <= 99)",
        tests=(CLOCKS,),
    ),
    Mutant(
        name="answer: minutes",
        protects="no minute 60 is stored",
        file=ANSWER,
        old="(minute <= 59)",
        new="(minute <= 99)",
        tests=(CLOCKS,),
    ),
    Mutant(
        name="answer: seconds",
        protects="no second 60 is stored",
        file=ANSWER,
        old="(second <= 59)",
        new="(second <= 99)",
        tests=(CLOCKS,),
    ),
    Mutant(
        name="answer: offsets",
        protects="a time of another zone is brought to UTC",
        file=SHAPES,
        old="            found &= (table[:, at : at + len(_UTC)] == np.frombuffer(_UTC, np.uint8)).all(axis=1)\n",
        new="            found &= at > 0\n",
        tests=(f"{OF_ALL_LINES}::test_only_times_at_no_distance_from_utc_are_copied",),
    ),
    Mutant(
        name="answer: leading zeros",
        protects="an ID is stored in its canonical form",
        file=ANSWER,
        old='(rows["id"] >= known["least_id"])',
        new='(rows["id"] >= 0)',
        tests=(f"{OF_ALL_LINES}::test_ids_of_every_length_are_kept",),
    ),
    Mutant(
        name="answer: twenty digits",
        protects="an ID beyond 64 bits is not taken for another one",
        file=SHAPES,
        old="ID_DIGITS = 19\n",
        new="ID_DIGITS = 20\n",
        tests=(f"{OF_ALL_LINES}::test_ids_of_every_length_are_kept",),
    ),
    Mutant(
        name="answer: names with digits",
        protects="a field is stored by its own name",
        file=SHAPES,
        old='if given is None or b"0" in b"".join(given) or not',
        new="if given is None or not",
        tests=(UNTOLD,),
    ),
    Mutant(
        name="answer: words with digits",
        protects="an action or reason with digits is counted as what it is",
        file=SHAPES,
        old="    elif name in _WORDS or name",
        new="    elif name",
        tests=(UNTOLD,),
    ),
    Mutant(
        name="answer: fields kept for others",
        protects="what X wrote in one field is not stored as what it wrote in another",
        file=SHAPES,
        old=" or name.endswith(_RAW)",
        new="",
        tests=(NOTICED_TWICE,),
    ),
    Mutant(
        name="answer: samples",
        protects="a table stores what reading field by field stores, or is not used",
        file=SHAPES,
        old="    return shape if agreed else None\n",
        new="    return shape if agreed or shape else None\n",
        tests=(NOTICED_TWICE,),
    ),
    Mutant(
        name="answer: number of shapes",
        protects="an answer with ever new shapes fills no memory",
        file=SHAPES,
        old="if len(self) >= _MAX_SHAPES or len(line) > _MAX_LINE_BYTES:",
        new="if len(line) > _MAX_LINE_BYTES:",
        tests=(f"{OF_SHAPES}::test_shapes_without_end_fill_no_memory",),
    ),
    Mutant(
        name="answer: length of shapes",
        protects="an answer with long shapes fills no memory",
        file=SHAPES,
        old="if len(self) >= _MAX_SHAPES or len(line) > _MAX_LINE_BYTES:",
        new="if len(self) >= _MAX_SHAPES:",
        tests=(f"{OF_SHAPES}::test_long_lines_are_not_remembered",),
    ),
    Mutant(
        name="answer: in order",
        protects="the first damaged line is named, and parts keep their order",
        file=TOGETHER,
        old="                if len(waiting) > COMPUTING:\n                    yield waiting.popleft().result()\n",
        new="                if len(waiting) > COMPUTING:\n                    yield waiting.pop().result()\n",
        tests=(f"{OF_TOGETHER}::test_results_come_in_the_order_of_the_items",),
    ),
    Mutant(
        name="answer: read ahead",
        protects="no more blocks are in memory than are worked on",
        file=TOGETHER,
        old="                if len(waiting) > COMPUTING:\n",
        new="                if len(waiting) > 99:\n",
        tests=(f"{OF_TOGETHER}::test_no_more_than_four_are_there_at_once",),
    ),
)
