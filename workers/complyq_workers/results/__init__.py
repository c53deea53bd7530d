"""From X's answer to stored results: read each line, sort, give each part its own, count."""

from complyq_workers.results.answer_rows import AnswerRows
from complyq_workers.results.child import ChildError
from complyq_workers.results.collection import Collection, collect, index_ids, read_answer
from complyq_workers.results.errors import PartMissingError, PartUnreadableError, ResultsUnreadableError
from complyq_workers.results.finishing import PartFiles, ResultsFile
from complyq_workers.results.helper import Helper
from complyq_workers.results.index import IdIndex
from complyq_workers.results.parts import PartIds
from complyq_workers.results.summary import HashedStream, PartSummary, count_lines, summarize, unexpected_values

__all__ = [
    "AnswerRows",
    "ChildError",
    "Collection",
    "HashedStream",
    "Helper",
    "IdIndex",
    "PartFiles",
    "PartIds",
    "PartMissingError",
    "PartSummary",
    "PartUnreadableError",
    "ResultsFile",
    "ResultsUnreadableError",
    "collect",
    "count_lines",
    "index_ids",
    "read_answer",
    "summarize",
    "unexpected_values",
]
