"""What a command begins with: settings from the environment, and logging to standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from complyq_config.logging import configure_logging, log_uncaught_exceptions
from complyq_config.settings import load_settings
from complyq_producer.client import Producer

if TYPE_CHECKING:
    from complyq_config.settings import Settings


def begin(**overrides: object) -> Settings:
    """Read the settings and set up logging. A command speaks for itself, so only errors are logged unless asked for.

    Args:
        **overrides: settings by their field names, which win over the environment.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    settings = load_settings(**overrides)
    asked_for = "log_level" in settings.model_fields_set
    configure_logging(settings.log_format, settings.log_level if asked_for else "ERROR")
    log_uncaught_exceptions()
    return settings


def open_producer() -> Producer:
    """Begin a command that needs a producer and nothing else."""
    return Producer.from_settings(begin())
