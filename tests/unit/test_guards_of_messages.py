"""What workers write where others can read it, and what they bear when nobody takes it."""

import base64
import tempfile
from contextlib import closing

import pytest
from celery import Celery
from kombu import Message
from kombu.exceptions import OperationalError

from complyq_config.celery_settings import dead_letter_queue
from complyq_config.redaction import redact
from complyq_config.settings import load_settings
from complyq_workers import dead_letters, vital_signs
from complyq_workers.bootsteps import hint_at_sweep
from complyq_workers.consumer import Consumer
from complyq_workers.dead_letters import dead_letter
from complyq_workers.pipeline import Hint, Outcome
from complyq_workers.sealing import Sealer, UnsealError
from complyq_workers.tasks import follow
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


class NoBroker:
    """A Celery app, and a task of it, whose broker is away."""

    name = "complyq.plan"

    @property
    def app(self) -> "NoBroker":
        """Be both."""
        return self

    def send_task(self, *_: object, **__: object) -> None:
        """Fail as Celery does."""
        raise OperationalError("the broker is away")


def test_a_step_is_done_though_its_hints_cannot_be_sent() -> None:
    """The sweep finds what they were about."""
    follow(NoBroker(), Hint("complyq.plan", ("tweets",)), Outcome((Hint("complyq.sweep"),), again_in=1.0))


def test_a_worker_goes_on_though_it_cannot_hint_at_a_sweep() -> None:
    """It tries again with its next timer."""
    hint_at_sweep(NoBroker(), 60)


def test_a_worker_goes_on_though_it_cannot_show_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its health check fails, its work does not."""
    monkeypatch.setattr(tempfile, "tempdir", "/nothing/of/this/name")
    vital_signs.show("a@b", vital_signs.Signs(pid=1, connected=True))
    assert vital_signs.read("a@b") is None


class BareConsumer(Consumer):
    """A consumer that is asked for nothing but what it does with a message."""

    connection_errors = ()

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.strategies: dict[str, object] = {}
        self.on_task_message: set[object] = set()


@pytest.fixture
def app() -> Celery:
    """An app with a broker in this process, whose dead letters nobody has read."""
    app = Celery("tests", broker="memory://", set_as_current=False)
    assert count_letters(app, purge=True) == 0
    return app


def count_letters(app: Celery, *, purge: bool = False) -> int:
    """Return how many dead letters there are."""
    with app.connection_for_write() as connection:
        letters = dead_letter_queue(load_settings())(connection.default_channel)
        letters.declare()
        if purge:
            letters.purge()
        return int(letters.queue_declare().message_count)


def make_no_sense(app: Celery) -> Message:
    """Give a consumer a message that no task can be run for."""
    with app.connection_for_write() as connection, closing(connection.SimpleQueue("guards of messages")) as queue:
        queue.put("no sense")
        message = queue.get()
        BareConsumer(app).create_task_handler()(message)
        return message


def test_a_message_that_makes_no_sense_is_put_aside_once(app: Celery) -> None:
    """Celery does not see it; it is among the dead letters, and it is not delivered again."""
    assert make_no_sense(app).acknowledged
    assert count_letters(app) == 1


def test_of_dead_letters_the_newest_are_kept(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come."""
    monkeypatch.setattr(dead_letters, "MAX_DEAD_LETTERS", 2)
    for _ in range(4):
        make_no_sense(app)
    assert count_letters(app) == 2
