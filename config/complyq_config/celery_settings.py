"""Celery's settings, each with its reason. Names and meanings were checked against celery 5.6.3 and kombu 5.6.2.

A message is a hint: losing one costs a sweep, a repeated one is dropped by the step's lease. The settings below
therefore prefer a prompt stop and a prompt error over keeping messages at any price.

What is no setting belongs to the worker's command line: ``--without-gossip --without-mingle --without-heartbeat``
(workers need not know of each other; health is read from what they do), ``-O fair``, the queues (``-Q``), and
the environment variable ``REMAP_SIGTERM=SIGQUIT`` before Celery is imported: the processes of the steps then ignore
SIGTERM, which some supervisors send to all processes of a service, and leave it to their worker.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from kombu import Exchange, Queue, binding

from complyq_config import amqp_transport
from complyq_config.amqp_address import AmqpAddress
from complyq_config.redis_address import REDIS_SCHEMES, RedisAddress
from complyq_config.settings import Settings

SOFT_TIME_LIMIT = 600
"""Seconds: a step ends or checkpoints within ten minutes, or gets SoftTimeLimitExceeded to do so."""
TIME_LIMIT = SOFT_TIME_LIMIT + 60
"""Seconds after which the process of a step that did not is killed."""
LONGEST_COUNTDOWN = 300
"""Seconds: no step may ask to come back later than this."""
VISIBILITY_TIMEOUT = 1_800
"""Seconds after which Redis hands an unacknowledged message out again. More than a message can rightly stay
unacknowledged: its countdown, then the step before it in the same process, then its own step (1,620 s). Waiting long
is safe, because work whose message is lost is found by the sweep within a minute."""
TRANSFER_TASKS = ("complyq.merge_job", "complyq.upload_job", "complyq.collect_job")
"""The tasks that move many bytes and take minutes. All others are short."""
MAX_DEAD_LETTERS = 1_000
"""The newest malformed messages are kept, up to this many."""
DELIVERY_LIMIT = 20
"""So often RabbitMQ hands a message out again before it puts it aside. A step that takes its process down is parked long
before; what healthy work loses with its message, after as many lost connections, the sweep finds."""
_SOCKET_SECONDS = {
    # Seconds: without these a dead peer or a lost packet blocks a worker for ever. Well above the one second
    # for which kombu blocks in BRPOP.
    "socket_timeout": 15,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
}


@dataclass(frozen=True, slots=True)
class QueueNames:
    """The queues. Short steps have their own, so that polling and planning go on while every transfer slot is busy."""

    control: str
    transfer: str
    dead: str
    """Malformed messages, for an operator to look at; no worker reads it."""


def queue_names(settings: Settings) -> QueueNames:
    """Name the queues of this installation.

    On Redis the key prefix keeps installations apart; RabbitMQ knows no prefix, so there the names do.
    """
    stem = "complyq" if _is_redis(settings) else f"complyq.{settings.namespace}"
    return QueueNames(control=f"{stem}.control", transfer=f"{stem}.transfer", dead=f"{stem}.dead")


def dead_letter_queue(settings: Settings) -> Queue:
    """Return the queue of malformed messages, reached by its name alone."""
    name = queue_names(settings).dead
    if _is_redis(settings):
        return Queue(name, exchange=Exchange(""), routing_key=name, durable=True)
    # RabbitMQ itself adds what it gave up, and bounds the queue. Expired hints, which it would add too, are passed over:
    # there are thousands of them while no worker runs. It knows the last reason since 3.13, before that the first.
    reasons = ("x-first-death-reason", "x-last-death-reason")
    given_up = [{"x-match": "any-with-x", reason: why} for reason in reasons for why in ("delivery_limit", "rejected")]
    exchange = Exchange(name, type="headers", durable=True)
    return Queue(
        name,
        bindings=[binding(exchange, arguments=arguments) for arguments in given_up],
        durable=True,
        queue_arguments={"x-queue-type": "quorum", "x-max-length": MAX_DEAD_LETTERS, "x-overflow": "drop-head"},
    )


def task_queues(settings: Settings) -> list[Queue]:
    """Return the queues that workers read."""
    names = queue_names(settings)
    return [_queue(names.control, settings), _queue(names.transfer, settings)]


def key_prefix(settings: Settings) -> str:
    """Return what every Redis key of this installation starts with; the braces keep them in one cluster slot."""
    return f"{{complyq:{settings.namespace}}}:"


def celery_settings(settings: Settings) -> dict[str, object]:
    """Return the configuration of the Celery app, for services that enqueue and for workers alike."""
    return _messages(settings) | _queues(settings) | _delivery() | _worker()


def has_delayed_delivery(settings: Settings) -> bool:
    """Whether the broker itself keeps a message until it is due, in whole seconds; if not, a worker does."""
    return not _is_redis(settings)


def _broker(settings: Settings) -> dict[str, object]:
    if not _is_redis(settings):
        amqp = AmqpAddress.parse(settings.broker_url.get_secret_value())
        return {
            "broker_url": amqp.kombu_url(amqp_transport.SCHEME),
            "broker_use_ssl": amqp.tls or False,
            "broker_transport_options": _amqp_options(),
            # Seconds: a side that was silent for twice as long is gone.
            "broker_heartbeat": 60,
            # Countdowns pass through queues of RabbitMQ: a worker that kept them would have its two messages in hand soon,
            # and quorum queues do not let it have more for as long as it waits.
            "broker_native_delayed_delivery_queue_type": "quorum",
            "worker_detect_quorum_queues": True,
        }
    redis = RedisAddress.parse(settings.broker_url.get_secret_value())
    options = _redis_options(settings) | (_sentinel_options(redis) if redis.sentinels else {})
    # Without options kombu would encrypt and trust everybody.
    return {
        "broker_url": redis.kombu_url,
        "worker_detect_quorum_queues": False,
        "broker_use_ssl": redis.tls or False,
        "broker_transport_options": options,
    }


def _sentinel_options(redis: RedisAddress) -> dict[str, object]:
    tls = {"ssl": True, **redis.tls} if redis.tls else {}
    return {"master_name": redis.master, "sentinel_kwargs": {**_SOCKET_SECONDS, **redis.sentinel_login, **tls}}


def _messages(settings: Settings) -> dict[str, object]:
    return _broker(settings) | {
        # Seconds for a connection to the broker; Redis has socket_connect_timeout of its own.
        "broker_connection_timeout": 5,
        # A worker may start before its broker, and outlives its restarts: it asks again for ever.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Nothing but JSON is read: a pickled message would run code of whoever can write to the broker.
        "task_serializer": "json",
        "accept_content": ["json"],
        # No result backend: facts and events say what came out, and a result nobody reads would be kept for a day.
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        # Publishing tries three times within about a second, then raises: the caller has the fact stored already
        # and is told that the workers will find it.
        "task_publish_retry": True,
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        "enable_utc": True,
        "timezone": "UTC",
    }


def _redis_options(settings: Settings) -> dict[str, object]:
    return {
        # Every key of ours starts with the namespace, kombu's own included.
        "global_keyprefix": f"{key_prefix(settings)}broker:",
        "visibility_timeout": VISIBILITY_TIMEOUT,
        # Messages restored at one time: a pile left by dead workers comes back in slices, every 100 seconds
        # (kombu looks at every tenth of its ten-second ticks; that is not configurable).
        "unacked_restore_limit": 1_000,
        # Seconds: a worker that dies while it restores holds up the others for no longer than this.
        "unacked_mutex_expire": 60,
        **_SOCKET_SECONDS,
        # Seconds without traffic after which a connection is tried with PING before it is used.
        "health_check_interval": 25,
        # Without a limit kombu's default channel tries to connect for as long as it takes, so that a caller that
        # only enqueues would hang while Redis is down. The worker's own connection follows broker_connection_*.
        "max_retries": 2,
        "interval_start": 0.1,
        "interval_step": 0.2,
        "interval_max": 0.5,
        # Seconds over all these attempts.
        "connect_retries_timeout": 10,
    }


def _amqp_options() -> dict[str, object]:
    return {
        # A publisher waits for the broker's word that it has the message.
        "confirm_publish": True,
        "max_retries": 2,
        "interval_start": 0.1,
        "interval_step": 0.2,
        "interval_max": 0.5,
        "connect_retries_timeout": 10,
    }


def _queues(settings: Settings) -> dict[str, object]:
    names = queue_names(settings)
    return {
        "task_queues": task_queues(settings),
        "task_default_queue": names.control,
        "task_default_exchange": names.control,
        "task_default_routing_key": names.control,
        # Long transfers to a queue of their own; every other task takes the default, control.
        "task_routes": {task: {"queue": names.transfer} for task in TRANSFER_TASKS},
        # A queue that is misspelt is an error, not a queue that nobody reads.
        "task_create_missing_queues": False,
    }


def _delivery() -> dict[str, object]:
    return {
        # A message is acknowledged when its step is over, so that a worker that dies hands it to another.
        "task_acks_late": True,
        # The same when only the process of the step dies (out of memory, SIGKILL).
        "task_reject_on_worker_lost": True,
        # A step that raised or ran too long is acknowledged: the sweep brings the work back at its own pace,
        # redelivery at once could spin.
        "task_acks_on_failure_or_timeout": True,
        "task_soft_time_limit": SOFT_TIME_LIMIT,
        "task_time_limit": TIME_LIMIT,
        # A step in hand and none in store: what a busy worker would hoard, an idle one could do.
        "worker_prefetch_multiplier": 1,
        # The lease and the facts guard a step, not its acknowledgement. A transfer goes on while the broker is away;
        # the message that comes again meanwhile is dropped by the lease.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # For the same reason the prefetch count is not reduced after a lost connection.
        "worker_enable_prefetch_count_reduction": False,
    }


def _worker() -> dict[str, object]:
    return {
        # The workers' own shutdown gives running steps COMPLYQ_SHUTDOWN_SECONDS; Celery's comes after it. A soft
        # one would sleep out its whole time-out, however soon the steps end.
        "worker_soft_shutdown_timeout": 0.0,
        # No broadcast commands and no events: nobody reads them, they cost a connection and a key per worker,
        # and health must not depend on a broadcast being answered.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        # complyq_config.logging owns the root logger and both standard streams.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_log_color": False,
        # A child's memory is given back now and then, whatever a library leaks.
        "worker_max_tasks_per_child": 1_000,
    }


def _queue(name: str, settings: Settings) -> Queue:
    if _is_redis(settings):
        return Queue(name, Exchange(name, type="direct", durable=True), routing_key=name, durable=True)
    return Queue(
        name,
        # Celery's delayed delivery takes no direct exchange.
        Exchange(f"complyq.{settings.namespace}", type="topic", durable=True),
        routing_key=name,
        durable=True,
        queue_arguments={
            # Replicated, and kept through a restart of the node: what is confirmed is on a majority's disks.
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": queue_names(settings).dead,
        },
    )


def _is_redis(settings: Settings) -> bool:
    return urlsplit(settings.broker_url.get_secret_value()).scheme in REDIS_SCHEMES
