"""From X's answer to stored results: read each line, sort, give each part its own, count."""

from complyq_workers.results.answer_rows import AnswerRows
from complyq_workers.results.collection import Collection, PartFiles, ResultsFile, collect, index_ids
from complyq_workers.results.errors import PartMissingError, PartUnreadableError, ResultsUnreadableError
from complyq_workers.results.index import IdIndex
from complyq_workers.results.parts import PartIds
from complyq_workers.results.summary import HashedStream, PartSummary, count_lines, summarize, unexpected_values

__all__ = [
    "AnswerRows",
    "Collection",
    "HashedStream",
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
    "summarize",
    "unexpected_values",
]
