"""What probes ask: whether workers should be started anew (liveness), and whether they can do their work (readiness)."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from complyq_config.redaction import redact
from complyq_workers import vital_signs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from complyq_config.settings import Settings

PATIENCE_SECONDS = 8.0
"""How long a probe waits for what it asks: less than the ten seconds that it usually has."""


def ailments(roles: Sequence[str], settings: Settings, patience: float) -> list[str]:
    """Return why this machine's workers of some roles should be started anew; empty if they live.

    What only passes, such as a broker that is away, is no reason: starting anew would not mend it.

    Args:
        roles: whose.
        settings: of the installation.
        patience: seconds for which a worker may be silent.
    """
    names = {role: vital_signs.worker_name(role, settings.namespace, socket.gethostname()) for role in roles}
    found = {role: vital_signs.ailment(name, patience) for role, name in names.items()}
    return [f"{role}: {why}" for role, why in found.items() if why]


def obstacles(roles: Sequence[str], settings: Settings) -> list[str]:
    """Return why workers that live cannot do their work now: no connection, or something that does not answer."""
    names = {role: vital_signs.worker_name(role, settings.namespace, socket.gethostname()) for role in roles}
    shown = {role: vital_signs.read(name) for role, name in names.items()}
    waiting = [f"{role}: it waits for its broker" for role, found in shown.items() if found and not found[0].connected]
    return waiting + list(_unanswered(settings))


def _unanswered(settings: Settings) -> Iterator[str]:
    """Ask everything at once: what hangs must not use up the time that the probe has."""
    questions = {"Redis": _ask_redis, "broker": _ask_broker, "store": _ask_store}
    asked = {name: _Asked(question, settings) for name, question in questions.items()}
    for each in asked.values():
        each.start()
    for name, each in asked.items():
        each.join(PATIENCE_SECONDS)
        why = f"no answer within {PATIENCE_SECONDS:.0f} s" if each.is_alive() else each.why
        if why:
            yield f"{name}: {redact(why)}"


class _Asked(threading.Thread):
    """A question under way. It dies with the probe, answered or not."""

    def __init__(self, question: Callable[[Settings], None], settings: Settings) -> None:
        super().__init__(daemon=True)
        self.why: str | None = None
        self._question = question
        self._settings = settings

    def run(self) -> None:
        try:
            self._question(self._settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            self.why = str(error) or type(error).__name__


def _ask_redis(settings: Settings) -> None:
    from complyq_producer.live import connect_redis  # noqa: PLC0415 - liveness needs none of these

    with closing(connect_redis(settings.redis_url.get_secret_value())) as client:
        client.ping()


def _ask_broker(settings: Settings) -> None:
    from celery import Celery  # noqa: PLC0415 - as above

    from complyq_config.celery_settings import celery_settings  # noqa: PLC0415 - as above

    app = Celery("complyq-probe", set_as_current=False, config_source=celery_settings(settings))
    with closing(app), app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)


def _ask_store(settings: Settings) -> None:
    from complyq_producer.store import open_store  # noqa: PLC0415 - as above

    open_store(settings.store_url).info("readiness")  # no such object: that the store says so is the answer
