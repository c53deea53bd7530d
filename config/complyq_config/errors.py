"""The root of Complyq's exceptions.

ComplyqError
├── ConfigurationError          a setting is missing or wrong
├── …                           complyq_producer.errors: input, batches, store, queue
└── …                           complyq_workers: the X API, uploads, results
"""


class ComplyqError(Exception):
    """Whatever Complyq raises on purpose. The message says what happened, to what, and what to do."""


class ConfigurationError(ComplyqError):
    """A setting is missing or wrong; the message names the environment variable and what it may hold."""
