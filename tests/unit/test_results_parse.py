"""Reading one line of X's answer."""

import json
from typing import Any

import pytest

from complyq_producer.results import Rejected, Result
from complyq_workers.results.parse import MAX_LINE_BYTES, UnreadableLineError, id_number, parse_line
from complyq_workers.results.times import to_utc_milliseconds

DOCUMENTED = (
    b'{"id":"1265324480517361664","action":"delete","created_at":"2019-10-29T17:02:47.000Z",'
    b'"redacted_at":"2020-07-29T17:02:47.000Z","reason":"deleted"}\n'
)


def stored(line: bytes) -> Any:
    """What is stored for a line, decoded."""
    outcome = parse_line(line, "tweets")
    assert outcome is not None
    return json.loads(outcome.to_json())


def test_documented_line_becomes_a_result() -> None:
    """The line of X's documentation is stored with its fields in our order, compact."""
    outcome = parse_line(DOCUMENTED, "tweets")
    assert isinstance(outcome, Result)
    assert outcome.to_json() == (
        b'{"id":"1265324480517361664","type":"tweets","action":"delete","reason":"deleted",'
        b'"created_at":"2019-10-29T17:02:47.000Z","redacted_at":"2020-07-29T17:02:47.000Z"}'
    )


@pytest.mark.parametrize("line", [b"", b"\n", b"\r\n", b"  \t\r\n", b"\xef\xbb\xbf\n"])
def test_blank_lines_say_nothing(line: bytes) -> None:
    """Blank lines in the middle and at the end are no results and no errors."""
    assert parse_line(line, "tweets") is None


@pytest.mark.parametrize("line", [DOCUMENTED.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + DOCUMENTED, b"  " + DOCUMENTED])
def test_line_ends_and_marks_do_not_matter(line: bytes) -> None:
    """CRLF, a byte order mark and white space around a line change nothing."""
    assert parse_line(line, "tweets") == parse_line(DOCUMENTED, "tweets")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2019-10-29T17:02:47.000Z", "2019-10-29T17:02:47.000Z"),
        ("2019-08-10T12:22:39.022Z", "2019-08-10T12:22:39.022Z"),
        ("2019-03-02T03:37:59+00:00", "2019-03-02T03:37:59.000Z"),
        ("2019-03-02T03:37:59Z", "2019-03-02T03:37:59.000Z"),
        ("2019-03-02T03:37:59.5Z", "2019-03-02T03:37:59.500Z"),
        ("2019-03-02T03:37:59.9999999Z", "2019-03-02T03:37:59.999Z"),
        ("2019-03-02T00:37:59+02:00", "2019-03-01T22:37:59.000Z"),
        ("2019-03-02T23:37:59.123-0330", "2019-03-03T03:07:59.123Z"),
        ("2020-02-29T00:00:00Z", "2020-02-29T00:00:00.000Z"),
        ("2019-12-31 23:59:59z", "2019-12-31T23:59:59.000Z"),
    ],
)
def test_times_become_utc_milliseconds(text: str, instant: str) -> None:
    """Both of X's forms, other offsets and other fractions become RFC 3339 UTC with milliseconds and Z."""
    assert to_utc_milliseconds(text) == instant


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2019-02-29T00:00:00Z", "2019-04-31T00:00:00Z", "2019-13-01T00:00:00.000Z", "1572368567",
     "2019-10-29T24:00:00Z", "2019-10-29T17:02:47", "2019-10-29", "0001-01-01T00:00:00+01:00", "\N{FULLWIDTH DIGIT TWO}019-10-29T17:02:47Z"],
)  # fmt: skip
def test_what_is_no_time_is_kept_as_it_came(text: str) -> None:
    """A time that cannot be read is null, and X's own text is passed on beside it."""
    assert to_utc_milliseconds(text) is None
    line = json.dumps({"id": "7", "action": "delete", "created_at": text, "redacted_at": text}).encode()
    assert stored(line) == {
        "id": "7", "type": "tweets", "action": "delete", "reason": None, "created_at": None, "redacted_at": None,
        "created_at_raw": text, "redacted_at_raw": text,
    }  # fmt: skip


def test_missing_and_null_fields_are_null() -> None:
    """What X leaves out or sets to null is null in the stored line."""
    expected = {"id": "7", "type": "users", "action": None, "reason": None, "created_at": None, "redacted_at": None}
    for line in (b'{"id":"7"}', b'{"id":"7","redacted_at":null,"action":null,"reason":null,"created_at":null}'):
        outcome = parse_line(line, "users")
        assert outcome is not None
        assert json.loads(outcome.to_json()) == expected


def test_deleted_at_stands_in_for_redacted_at() -> None:
    """`deleted_at` is taken for `redacted_at` where that is missing or null, and then not passed on."""
    for line in (
        b'{"id":"7","deleted_at":"2019-03-02T03:37:59+00:00"}',
        b'{"id":"7","redacted_at":null,"deleted_at":"2019-03-02T03:37:59Z"}',
    ):
        fields = stored(line)
        assert fields["redacted_at"] == "2019-03-02T03:37:59.000Z"
        assert "deleted_at" not in fields


def test_deleted_at_beside_redacted_at_is_passed_on() -> None:
    """Where both are given, `redacted_at` counts and `deleted_at` is one of the extra fields."""
    fields = stored(b'{"id":"7","redacted_at":"2020-03-02T03:37:59Z","deleted_at":"2019-03-02T03:37:59+00:00"}')
    assert fields["redacted_at"] == "2020-03-02T03:37:59.000Z"
    assert fields["deleted_at"] == "2019-03-02T03:37:59+00:00"


@pytest.mark.parametrize(("text", "canonical"), [(b"7", "7"), (b'"007"', "7"), (b'" 7 "', "7"), (b'"7\\r"', "7")])
def test_ids_get_their_canonical_form(text: bytes, canonical: str) -> None:
    """An ID as JSON number, with leading zeros or white space is the ID it means."""
    assert stored(b'{"id":%b,"action":"delete"}' % text)["id"] == canonical


def test_large_ids_keep_all_digits() -> None:
    """IDs up to 64 bits survive exactly, also as JSON numbers."""
    assert stored(b'{"id":18446744073709551615}')["id"] == "18446744073709551615"


def test_unknown_fields_and_values_are_passed_on() -> None:
    """What X adds follows the known fields, sorted by name, exactly as X wrote it but without white space."""
    line = b'{"zeta": [1.50, 1e400, 12345678901234567890123],"id":"7","action":"hide","alpha":{ "b": "\xc3\xa9" } }'
    outcome = parse_line(line, "tweets")
    assert outcome is not None
    assert outcome.to_json().endswith(
        b'"redacted_at":null,"alpha":{"b":"\xc3\xa9"},"zeta":[1.50,1e400,12345678901234567890123]}'
    )
    assert b'"action":"hide","reason":null' in outcome.to_json()


def test_values_of_another_kind_are_kept_beside_a_null() -> None:
    """An action that is no string is null, with what X sent beside it."""
    fields = stored(b'{"id":"7","action":["delete"],"reason":3,"created_at":1572368567,"type":"posts"}')
    assert (fields["action"], fields["reason"], fields["created_at"], fields["type"]) == (None, None, None, "tweets")
    assert (fields["action_raw"], fields["reason_raw"], fields["created_at_raw"]) == (["delete"], 3, 1572368567)
    assert fields["type_raw"] == "posts"


def test_errors_are_rejections() -> None:
    """A line with an error is no result, whatever else it says."""
    outcome = parse_line(b'{"id":"not_a_valid_id","error":"invalid_id","hint":1}', "tweets")
    assert isinstance(outcome, Rejected)
    assert outcome.to_json() == b'{"id":"not_a_valid_id","type":"tweets","error":"invalid_id","hint":1}'


def test_error_that_is_null_is_no_error() -> None:
    """`"error": null` beside a result does not take it away."""
    outcome = parse_line(b'{"id":"7","action":"delete","error":null}', "tweets")
    assert isinstance(outcome, Result)
    assert outcome.action == "delete"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"id":"7","action":"del', "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"id":"7"}{"id":"8"}', "not JSON"),
        (b'{"id":"7","extra":"\xff"}', "not JSON"),
        (b'["7"]', "not a JSON object"),
        (b"7", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"action":"delete"}', "without an ID"),
        (b'{"id":null,"action":"delete"}', "without an ID"),
        (b'{"id":""}', "without an ID"),
        (b'{"id":true}', "without an ID"),
        (b'{"id":1.2653244805173617e18}', "without an ID"),
        (b'{"id":["7"]}', "without an ID"),
        (b'{"error":"internal"}', "without an ID"),
        (b'{"id":"7","x":"' + b"x" * MAX_LINE_BYTES + b'"}', "longer than 65536 bytes"),
        (b'{"id":"7","x":' + b"[" * 65 + b"]" * 65 + b"}", "nested more than 64 deep"),
        (b'{"id":"7","error":' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"}", "nested more than 64 deep"),
        (b"[" * 60_000, "not a JSON object"),
    ],
)
def test_damaged_lines_are_never_taken_for_anything(line: bytes, why: str) -> None:
    """A line that does not say which ID it is about is refused, so that nobody takes the ID for compliant."""
    with pytest.raises(UnreadableLineError, match=why):
        parse_line(line, "tweets")


def test_brackets_side_by_side_or_in_text_are_not_deep() -> None:
    """A long list of small objects is passed on, and so is a text full of brackets."""
    line = b'{"id":"7","x":[' + b'{"a":[]},' * 1_000 + b'1],"y":"' + b'[{\\"' * 1_000 + b'"}'
    assert len(stored(line)["x"]) == 1_001


def test_ids_of_ours_are_64_bit_numbers() -> None:
    """Only what can have been submitted counts as an ID."""
    assert id_number("18446744073709551615") == 2**64 - 1
    assert [
        id_number(text)
        for text in ("0", "-7", "18446744073709551616", "x", "", "7.0", "\N{ARABIC-INDIC DIGIT SEVEN}", "9" * 500)
    ] == [None] * 8
