"""Log lines: one format for ours and foreign ones, context on each, no credential in any."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from complyq_config.logging import NOISY, configure_logging, log_uncaught_exceptions

URL = "https://storage.googleapis.com/b/o?X-Goog-Signature=cafecafecafe"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leave the logging of the test run as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in NOISY}
    yield
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def lines() -> io.StringIO:
    """Collect JSON log lines."""
    stream = io.StringIO()
    configure_logging("json", "INFO", stream)
    return stream


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    """Parse the collected lines."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail_to_connect() -> None:
    """Fail as urllib3 does, with the URL in the message."""
    raise OSError(f"Max retries exceeded with url: {URL}")


def fail_to_upload() -> None:
    """Fail because of another failure."""
    try:
        fail_to_connect()
    except OSError as error:
        raise RuntimeError(f"upload to {URL} failed") from error


def test_our_lines_carry_context(lines: io.StringIO) -> None:
    """An event shows its values, the bound context, level, logger and a UTC time."""
    structlog.contextvars.bind_contextvars(batch="b1")
    structlog.get_logger("complyq.x").info("upload_resumed", offset=262_144)
    [line] = read(lines)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "upload_resumed", "offset": 262_144, "batch": "b1", "level": "info", "logger": "complyq.x"}


def test_foreign_lines_look_the_same(lines: io.StringIO) -> None:
    """A library's message comes out with context and without credentials."""
    structlog.contextvars.bind_contextvars(job="j1")
    logging.getLogger("some.library").warning("PUT %s failed", URL)
    [line] = read(lines)
    assert line["event"] == "PUT https://storage.googleapis.com/b/o?X-Goog-Signature=[redacted] failed"
    assert line["job"] == "j1"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_exceptions_hold_no_credential(log_format: Any) -> None:
    """The text of an exception, of its cause, and the source lines around them are redacted in both formats."""
    stream = io.StringIO()
    configure_logging(log_format, "INFO", stream)

    try:
        fail_to_upload()
    except RuntimeError:
        structlog.get_logger().exception("upload_failed", url=URL)
        logging.getLogger("foreign").exception("it failed")
    assert "cafecafecafe" not in stream.getvalue()
    assert stream.getvalue().count("RuntimeError") >= 2


def test_console_is_plain_without_a_terminal() -> None:
    """No colour codes reach a file."""
    stream = io.StringIO()
    configure_logging("console", "INFO", stream)
    structlog.get_logger().info("batch_accepted", ids=3)
    assert "\x1b" not in stream.getvalue()
    assert "ids=3" in stream.getvalue()


def test_levels_are_kept(lines: io.StringIO) -> None:
    """What is below the level, and the chatter of HTTP and S3 libraries, is not written."""
    structlog.get_logger().debug("not_shown")
    logging.getLogger("urllib3.connectionpool").info("Starting new HTTPS connection")
    logging.getLogger("urllib3.connectionpool").warning("shown")
    assert [line["event"] for line in read(lines)] == ["shown"]


def test_configuring_twice_writes_once(lines: io.StringIO) -> None:
    """A second call replaces the first."""
    second = io.StringIO()
    configure_logging("json", "DEBUG", second)
    logging.getLogger("botocore.auth").debug("once")
    assert (len(read(lines)), len(read(second))) == (0, 1)


def test_line_that_cannot_be_written_is_not_dumped(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong arguments of a foreign line cost the line, and do not print what they hold."""
    ours = [handler for handler in logging.getLogger().handlers if getattr(handler, "stream", None) is lines]
    monkeypatch.setattr(logging.getLogger(), "handlers", ours)  # pytest's own handlers raise
    logging.getLogger("foreign").warning("%d bytes", URL)
    assert lines.getvalue() == "log_line_lost logger=foreign error=TypeError\n"


def test_uncaught_exceptions_are_logged_without_credentials(lines: io.StringIO) -> None:
    """What would end a process or a thread unseen is a redacted log line."""
    log_uncaught_exceptions()
    thread = threading.Thread(target=lambda: open(URL))  # noqa: PTH123, SIM115 - it fails, which is the point
    thread.start()
    thread.join()
    try:
        fail_to_upload()
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    assert [line["event"] for line in read(lines)] == ["uncaught_exception"] * 2
    assert "cafecafecafe" not in lines.getvalue()
