"""Many parts, one upload: the sorted union of their IDs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from complyq_producer.ids.sorting import Sorter
from complyq_producer.ids.spool import open_spool
from complyq_producer.ids.values import text_slices, to_text
from complyq_workers.results.parts import Beat, PartIds, read_parts
from complyq_workers.together import Together, one_by_one


@dataclass(frozen=True, slots=True)
class MergedPayload:
    """What was written: `count` IDs, which are `bytes` bytes of text."""

    count: int
    bytes: int


def merge_parts(
    parts: Sequence[PartIds],
    into: Path,
    *,
    spool_dir: Path,
    together: Together = one_by_one,
    beat: Beat = lambda: None,
) -> MergedPayload:
    """Write every ID of the parts once, ascending, one decimal ID a line: the same parts give the same bytes.

    Args:
        parts: what to merge; parts may have IDs in common.
        into: the file to write.
        spool_dir: a folder on disk for what memory does not hold, 8 bytes per ID.
        together: fetches small parts.
        beat: called every few hundred thousand IDs, to renew a lease or to stop by raising.

    Raises:
        PartMissingError: the store has no such part.
        PartUnreadableError: a part is not what was stored.
    """
    count = size = 0
    with open_spool(spool_dir) as spool, into.open("wb") as file:
        sorter = Sorter(spool)
        for block in read_parts(parts, together=together, beat=beat):
            sorter.add(block.ids)
        for ids in sorter.ascending():
            beat()
            count += len(ids)
            size += sum(file.write(to_text(piece)) for piece in text_slices(ids))
    return MergedPayload(count, size)
