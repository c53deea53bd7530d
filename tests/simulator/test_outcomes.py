import json
from collections import Counter
from pathlib import Path

import numpy as np

from complyq_simulator.outcomes import KINDS, flagged, outcome, outcomes, records
from complyq_simulator.results import Question, answer
from complyq_simulator.uploads import digest, ids_of

IDS = np.arange(1_700_000_000_000_000_000, 1_700_000_000_000_050_000, dtype=np.uint64)


def _answered(tmp_path: Path, body: bytes, rate: float = 1.0) -> list[str]:
    upload, target = tmp_path / "upload", tmp_path / "results"
    upload.write_bytes(body)
    answer(Question(upload, "tweets", 1, rate), target)
    return target.read_text().split("\n")


def test_the_share_of_flagged_ids_is_the_rate() -> None:
    """About a tenth is flagged at 0.1, none at 0, all at 1."""
    assert 4_500 < flagged(IDS, 1, 0.1).sum() < 5_500
    assert not flagged(IDS, 1, 0.0).any()
    assert flagged(IDS, 1, 1.0).all()


def test_the_outcome_of_an_id_depends_on_id_and_seed_only() -> None:
    """The same ID gets the same line alone and among others; another seed flags others."""
    together = records(outcomes(IDS, 7, 0.1, "tweets"), "tweets")
    assert together[:20] == [outcome(int(line["id"]), 7, 0.1, "tweets") for line in together[:20]]
    assert {line["id"] for line in together} != {
        line["id"] for line in records(outcomes(IDS, 8, 0.1, "tweets"), "tweets")
    }
    assert outcome(int(IDS[~flagged(IDS, 7, 0.1)][0]), 7, 0.1, "tweets") is None


def test_every_action_and_reason_occurs() -> None:
    """Tweets get all actions, users are only deleted; a reason that the specification lacks occurs in both."""
    for type_, kinds in KINDS.items():
        seen = Counter((line["action"], line["reason"]) for line in records(outcomes(IDS, 1, 0.5, type_), type_))
        assert seen.keys() == {(action, reason) for action, reason, _ in kinds}
    assert {action for action, _, _ in KINDS["users"]} == {"delete"}


def test_times_come_in_all_of_their_shapes() -> None:
    """Both notations occur, and the redaction's time may be absent, null, or under its alias."""
    lines = records(outcomes(IDS, 1, 0.5, "tweets"), "tweets")
    assert {line["created_at"][19:20] for line in lines} == {".", "+"}
    shapes = Counter((line.get("redacted_at", "absent") in {None, "absent"}, "deleted_at" in line) for line in lines)
    assert len(shapes) == 4
    assert any(line.get("redacted_at", "") is None for line in lines)


def test_results_have_another_order_and_blank_lines(tmp_path: Path) -> None:
    """Each flagged ID comes once, out of order, with blank lines in the middle and at the end."""
    numbers = [str(number) for number in IDS[:1000].tolist()]
    lines = _answered(tmp_path, "\n".join(numbers + numbers).encode())
    ids = [json.loads(line)["id"] for line in lines if line]
    assert ids != numbers
    assert sorted(ids) == numbers
    assert "" in lines[:500]
    assert lines[-3:] == ["", "", ""]


def test_the_file_says_what_the_function_says(tmp_path: Path) -> None:
    """The results hold exactly what `outcome` gives."""
    body = "\n".join(map(str, IDS[:2000].tolist())).encode()
    lines = [json.loads(line) for line in _answered(tmp_path, body, 0.3) if line]
    assert lines == records(outcomes(IDS[:2000], 1, 0.3, "tweets"), "tweets")


def test_lines_that_are_no_ids_come_back_with_an_error(tmp_path: Path) -> None:
    """Empty lines and CRLF are fine; zero, letters, signs, spaces and twenty digits are not."""
    body = b'12\r\n\n\r\n34\nabc\n0\n-5\n 7\n12345678901234567890\nabc\n"q\n99'
    lines = [json.loads(line) for line in _answered(tmp_path, body) if line]
    assert {line["id"] for line in lines if "error" not in line} == {"12", "34", "99"}
    rejected = [line["id"] for line in lines if line.get("error") == "invalid_id"]
    assert sorted(rejected) == sorted(["abc", "0", "-5", " 7", "12345678901234567890", '"q'])


def test_ids_across_blocks_are_read_whole(tmp_path: Path) -> None:
    """A file of several blocks yields each of its IDs."""
    many = np.arange(1, 400_001, dtype=np.uint64)
    lines = _answered(tmp_path, "\n".join(map(str, many.tolist())).encode())
    assert sum(1 for line in lines if line) == len(many)


def test_ids_of_all_lengths_are_read() -> None:
    """From one digit to nineteen."""
    numbers = [10**length - 1 for length in range(1, 20)]
    assert sorted(ids_of("".join(f"{number}\n" for number in numbers).encode(), {}).tolist()) == numbers


def test_checksums_are_those_of_the_standards(tmp_path: Path) -> None:
    """The check value of CRC-32C, and MD5, in base64."""
    path = tmp_path / "object"
    path.write_bytes(b"123456789")
    assert (digest(path).crc32c, digest(path).md5) == ("4waSgw==", "JfnnlDI7RTiF9RgfG2JNCw==")
