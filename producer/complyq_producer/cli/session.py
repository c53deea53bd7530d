"""What a command begins with: settings from the environment, and logging to standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from complyq_config.logging import configure_logging, log_uncaught_exceptions
from complyq_config.settings import load_settings
from complyq_producer.client import Producer
from complyq_producer.tracing import start_exporting

if TYPE_CHECKING:
    from complyq_config.settings import Settings


def begin(log_from: str = "ERROR", **overrides: Any) -> Settings:
    """Read the settings, set up logging, and traces where OTEL_ variables ask for them.

    Args:
        log_from: the least severe lines that are written unless COMPLYQ_LOG_LEVEL is set: a command speaks for itself.
        **overrides: settings by their field names, which win over the environment.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    settings = load_settings(**overrides)
    asked_for = "log_level" in settings.model_fields_set
    configure_logging(settings.log_format, settings.log_level if asked_for else log_from)
    log_uncaught_exceptions()
    start_exporting("complyq")
    return settings


def open_producer() -> Producer:
    """Begin a command that needs a producer and nothing else; raises ConfigurationError."""
    return Producer.from_settings(begin())
