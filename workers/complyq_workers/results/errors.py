"""What reading X's answer raises.

ComplyqError
├── ResultsUnreadableError   a line of X's answer is damaged: download it again
└── PartUnreadableError      a stored part is not ascending decimal IDs
"""

from complyq_config.errors import ComplyqError


class ResultsUnreadableError(ComplyqError):
    """A line of X's answer cannot be read, so whose result it is is unknown: nothing of the answer counts."""

    def __init__(self, line_number: int, excerpt: str, why: str) -> None:
        super().__init__(f"Line {line_number} of X's answer is {why}: {excerpt}. Download the answer again.")
        self.line_number = line_number
        self.excerpt = excerpt
        self.why = why


class PartUnreadableError(ComplyqError):
    """A stored part does not hold ascending decimal IDs, one a line."""
