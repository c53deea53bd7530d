"""Which packages come with which extra, so that a missing one is told by what to install."""

from __future__ import annotations

import importlib.util

from complyq_config.errors import ConfigurationError

EXTRAS = {
    "worker": ("cryptography", "google_crc32c", "requests", "urllib3"),
    "simulator": ("google_crc32c", "httptools", "uvicorn"),
    "dashboard": ("jinja2", "starlette", "uvicorn"),
    "parquet": ("pyarrow",),
}
"""The modules of each extra that are imported by name."""


def require_extras(*extras: str) -> None:
    """Look whether everything of some extras is installed, without importing it.

    Raises:
        ConfigurationError: something is not.
    """
    modules = dict.fromkeys(module for extra in extras for module in EXTRAS[extra])
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise not_installed(", ".join(missing), "local" if len(extras) > 1 else extras[0])


def explained(error: ModuleNotFoundError) -> ConfigurationError | None:
    """Say what to install where the missing module is part of an extra; None where it is not."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    return not_installed(module, extra) if extra else None


def not_installed(what: str, extra: str) -> ConfigurationError:
    """Return the error that says what to install."""
    return ConfigurationError(f"this needs {what}, which is not installed: pip install 'complyq[{extra}]'")
