"""Seals the credentials that must survive a worker: signed URLs and session URIs, as stored in facts.

Whoever can read the store cannot use them. A key that was lost or changed costs a new upload session, nothing else.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from complyq_config.errors import ComplyqError, ConfigurationError

if TYPE_CHECKING:
    from complyq_config.settings import Settings


class UnsealError(ComplyqError):
    """Sealed with another key, or damaged: ask X for the URL again, or start a new session."""


class Sealer:
    """Encrypts and authenticates short texts with a key derived from a secret."""

    def __init__(self, secret: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"complyq sealed URL v1").derive(secret.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def seal(self, text: str) -> str:
        """Seal a text."""
        return self._fernet.encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """Open a sealed text.

        Raises:
            UnsealError: if another key sealed it, or it is damaged.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise UnsealError("sealed with another key (COMPLYQ_SEAL_KEY or the bearer has changed)") from None


def sealer_of(settings: Settings) -> Sealer:
    """Make the sealer from `COMPLYQ_SEAL_KEY`, or else from the credential that the workers share anyway.

    Raises:
        ConfigurationError: if there is neither.
    """
    for secret in (settings.seal_key, settings.bearer_token, settings.api_secret):
        if secret is not None:
            return Sealer(secret.get_secret_value())
    raise ConfigurationError("set COMPLYQ_BEARER_TOKEN, or COMPLYQ_API_KEY and COMPLYQ_API_SECRET")
