"""Does a share of a collection, for `Helper`: `python -m complyq_workers.results.helping`."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from complyq_workers.results.allocation import keep_freed_memory
from complyq_workers.results.answer import Piece
from complyq_workers.results.answer_rows import AnswerRows, Told
from complyq_workers.results.child import require_parent, serve
from complyq_workers.results.chunks import StoredChunks
from complyq_workers.results.finishing import Finish, PartFiles, Wanted
from complyq_workers.results.groups import PartGroups
from complyq_workers.results.helper import SHARE
from complyq_workers.results.index import IdIndex
from complyq_workers.results.sorting import SortedOut, Sorter


class _Helping:
    """What is asked for, in this order; see `Helper`."""

    _answer: AnswerRows
    _groups: PartGroups
    _finish: Finish

    def __init__(self, files: ExitStack) -> None:
        self._files = files

    def begin(self, job_type: str, folder: Path) -> None:
        keep_freed_memory()
        self._answer = self._files.enter_context(closing(AnswerRows(job_type, folder, SHARE)))

    def read(self, answer: Path, piece: Piece) -> None:
        self._answer.read_piece(answer, piece, require_parent)

    def exchange(self, told: Told) -> Told:
        mine = self._answer.told()
        self._answer.learn(told)
        return mine

    def sort_out(self, index: IdIndex, ranges: range, groups: Path) -> SortedOut:
        self._groups = self._files.enter_context(closing(PartGroups(index.counts, groups)))
        return Sorter(self._answer, index, self._groups, require_parent).run(ranges)

    def open(self, rows: Sequence[StoredChunks], wanted: Wanted) -> None:
        self._groups.open(rows)
        self._finish = Finish(wanted, self._answer, require_parent)

    def finish(self, number: int) -> list[PartFiles]:
        return self._finish.group(self._groups.group(number))


def main() -> None:
    """Help until there is nothing more to do."""
    with ExitStack() as files:
        helping = _Helping(files)
        serve(lambda request: getattr(helping, request[0])(*request[1]))


if __name__ == "__main__":
    main()
