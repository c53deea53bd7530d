"""Makes Celery's queues at the broker, as producers and workers do, and says what to do where RabbitMQ refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amqp.exceptions import AccessRefused, PreconditionFailed
from kombu.transport.native_delayed_delivery import declare_native_delayed_delivery_exchanges_and_queues

from complyq_config.celery_settings import dead_letter_queue, has_delayed_delivery, task_queues
from complyq_producer.errors import QueueRefusedError

if TYPE_CHECKING:
    from kombu import Connection

    from complyq_config.settings import Settings


def declare_queues(connection: Connection, settings: Settings) -> None:
    """Make the queues that workers read, and that of dead letters; change nothing where they are there.

    Raises:
        QueueRefusedError: RabbitMQ refuses, and waiting does not mend it.
    """
    if not has_delayed_delivery(settings):
        return  # on Redis a queue is there as soon as something is in it
    for queue in (dead_letter_queue(settings), *task_queues(settings)):
        try:
            with connection.channel() as channel:
                queue(channel).declare()
        except (AccessRefused, PreconditionFailed) as error:
            raise _refused(error, f"rabbitmqctl delete_queue {queue.name}", settings) from error


def declare_delayed_delivery(connection: Connection, settings: Settings) -> None:
    """Make the queues in which RabbitMQ keeps messages until they are due, as Celery's workers do.

    Raises:
        QueueRefusedError: RabbitMQ refuses, and waiting does not mend it.
    """
    try:
        declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
    except (AccessRefused, PreconditionFailed) as error:
        raise _refused(error, "give Complyq a virtual host of its own", settings) from error


def _refused(error: Exception, way_out: str, settings: Settings) -> QueueRefusedError:
    what = f"RabbitMQ (COMPLYQ_BROKER_URL) refuses a queue: {error}"
    if isinstance(error, AccessRefused):
        names = f"^(complyq\\.{settings.namespace}|celery_delayed)"
        return QueueRefusedError(f"{what}. Its user needs permission to configure, write and read '{names}'")
    return QueueRefusedError(
        f"{what}. It was made with other settings. Stop all workers and remove it ({way_out}): it holds hints only, "
        "and the next sweep finds the work again"
    )
