"""Log lines: ours and those of libraries in one format, on one stream, without credentials.

Ours are structlog events, static snake_case names with values; theirs are rendered messages. Both end in one
formatter of the standard library's root handler, which adds time, level and the bound context (batch, job, task),
renders exceptions, takes credentials out, and only then writes text or JSON.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from complyq_config.redaction import redact_fields

NOISY = (
    *("amqp", "boto3", "botocore", "filelock", "kombu", "redis", "s3transfer", "urllib3"),
    *("celery.app.trace", "celery.worker.strategy"),
)
"""Libraries that tell every step at DEBUG and INFO; they are heard from WARNING on, unless DEBUG is asked for."""


def configure_logging(
    log_format: Literal["console", "json"],
    level: str = "INFO",
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to one stream, in one format. May be called again.

    Args:
        log_format: "console" (coloured on a terminal) or "json" (one object a line).
        level: The least severe lines that are written, such as "INFO".
        stream: Where to; standard error by default, since standard output carries results.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_formatter(_renderer(log_format, handler.stream)))
    _replace_root_handler(handler, level)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "DEBUG" else logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_context(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def log_uncaught_exceptions() -> None:
    """Make exceptions that nobody catches, and warnings, log lines too: the interpreter would print their text as it is."""
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    logging.captureWarnings(capture=True)


def redact_event(_: WrappedLogger, __: str, event: EventDict) -> Mapping[str, Any]:
    """Take credentials out of every value of an event, the text of its exception included."""
    return redact_fields(event)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream; a line that cannot be formatted is counted for by its logger's name, not dumped as it is."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        kind = sys.exc_info()[0]
        if kind is not BrokenPipeError and not self.stream.closed:
            self.stream.write(f"log_line_lost logger={record.name} error={kind.__name__ if kind else None}\n")


def _context() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(renderer: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_context(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact_event,  # the last before the text is made, so that nothing is added after it
            renderer,
        ],
    )


def _renderer(log_format: Literal["console", "json"], stream: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    coloured = stream.isatty() and "NO_COLOR" not in os.environ
    # Plain tracebacks: the exception is text by now, and pretty ones would show local variables.
    return structlog.dev.ConsoleRenderer(colors=coloured, exception_formatter=structlog.dev.plain_traceback)


def _replace_root_handler(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in [found for found in root.handlers if isinstance(found, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    structlog.get_logger("complyq").critical("uncaught_exception", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
