"""What is written where others can read it: sealed, or without credentials."""

import base64

import pytest
from kombu import Message

from complyq_config.redaction import redact
from complyq_workers.dead_letters import dead_letter
from complyq_workers.sealing import Sealer, UnsealError
from complyq_workers.x import StaticBearer

URL = "https://storage.googleapis.com/o?X-Goog-Signature=abcdef0123456789"


def test_what_is_sealed_is_opened_with_the_same_key_only() -> None:
    """And nobody reads it without."""
    sealed = Sealer("one key").seal(URL)
    assert Sealer("one key").unseal(sealed) == URL
    assert b"Signature" not in base64.urlsafe_b64decode(sealed)
    with pytest.raises(UnsealError):
        Sealer("another key").unseal(sealed)


def test_a_bearer_is_taken_out_of_every_text() -> None:
    """From the moment that a process holds it, whatever stands before it."""
    StaticBearer("AAAAguardedBearer\n")
    assert "AAAAguardedBearer" not in redact("they sent AAAAguardedBearer to us")


def test_a_dead_letter_holds_no_credential() -> None:
    """Neither in its body, nor in headers, nor in the reason."""
    message = Message(f'["{URL}"]', content_type="text/plain", headers={"url": URL}, properties={"reply_to": URL})
    letter = dead_letter(message, f"no task for {URL}")
    assert "abcdef0123456789" not in repr(letter)
    assert "storage.googleapis.com" in letter.body
