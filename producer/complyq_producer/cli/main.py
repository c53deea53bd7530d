"""The entry of `complyq`: runs a command and turns what it raises into one message and an exit code.

0 done · 1 the work failed · 2 wrong use or bad input · 130 interrupted
"""

from __future__ import annotations

import os
import sys
from enum import IntEnum

import typer

from complyq_config.errors import ComplyqError, ConfigurationError
from complyq_config.redaction import redact
from complyq_producer.cli.app import app
from complyq_producer.cli.extras import explained
from complyq_producer.errors import BatchNotFoundError, InputError


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    INTERRUPTED = 130


def main() -> None:
    """Run the command of this process's arguments and exit."""
    try:
        _run()
    except ComplyqError as error:
        typer.echo(f"complyq: {redact(str(error))}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        _close_quietly()
        sys.exit(ExitCode.FAILED)
    except OSError as error:
        typer.echo(f"complyq: {redact(str(error))}", err=True)
        _close_quietly()
        sys.exit(ExitCode.FAILED)


def exit_code(error: ComplyqError) -> ExitCode:
    """Tell apart what the caller has to correct from what went wrong."""
    wrong_use = isinstance(error, (BatchNotFoundError, ConfigurationError, InputError))
    return ExitCode.WRONG_USE if wrong_use else ExitCode.FAILED


def _run() -> None:
    try:
        app(prog_name="complyq")
    except ModuleNotFoundError as error:
        explanation = explained(error)
        if explanation is None:
            raise
        raise explanation from error


def _close_quietly() -> None:
    """Let the interpreter flush its buffers to nowhere when it ends: whoever read our output has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
