"""What starting processes of our own can raise."""

from complyq_config.errors import ComplyqError


class EmbeddedProcessError(ComplyqError):
    """A process that this command started ended early, or did not become ready; the message shows the end of its log."""
