"""What reading a job's parts and X's answer raises.

ComplyqError
├── ResultsUnreadableError      a line of X's answer is damaged: download it again
└── PartUnreadableError         a stored part is not what was stored: ascending decimal IDs
    └── PartMissingError        it is not there any more
"""

from typing import Self

from complyq_config.errors import ComplyqError


class ResultsUnreadableError(ComplyqError):
    """A line of X's answer cannot be read, so whose result it is is unknown: nothing of the answer counts."""

    def __init__(self, line_number: int, excerpt: str, why: str) -> None:
        super().__init__(f"Line {line_number} of X's answer is {why}: {excerpt}. Download the answer again.")
        self.line_number = line_number
        self.excerpt = excerpt
        self.why = why

    def __reduce__(self) -> tuple[type[Self], tuple[int, str, str]]:
        """Pass from one process to another."""
        return type(self), (self.line_number, self.excerpt, self.why)


class PartUnreadableError(ComplyqError):
    """A stored part does not hold what was stored: ascending decimal IDs, one a line.

    Attributes:
        batch_id: the batch it belongs to.
        part: its number in the batch.
    """

    def __init__(self, batch_id: str, part: int, why: str) -> None:
        super().__init__(f"Part {part} of batch {batch_id} {why}.")
        self.batch_id = batch_id
        self.part = part


class PartMissingError(PartUnreadableError):
    """The store has no such part."""
