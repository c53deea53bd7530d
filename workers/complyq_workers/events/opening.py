"""Chooses the results queue by its URL. What only one kind of queue needs is imported only for it."""

from complyq_config.settings import Settings
from complyq_producer.listening import ExchangeAddress, StreamAddress, address_of
from complyq_workers.events.published import PublishedEvents
from complyq_workers.events.publisher import EventPublisher
from complyq_workers.events.recorded import EventQueue, RecordedPublisher
from complyq_workers.events.redis_stream import RedisStreamPublisher


def open_publisher(settings: Settings) -> EventPublisher:
    """Return the publisher for the results queue of these settings; nothing is contacted yet.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    url = settings.effective_events_url.get_secret_value()
    address = address_of(url)
    if isinstance(address, StreamAddress):
        return RedisStreamPublisher(url, settings.namespace, replay_hours=settings.events_replay_hours)
    redis_url = settings.redis_url.get_secret_value()
    published = PublishedEvents(redis_url, settings.namespace, replay_hours=settings.events_replay_hours)
    if isinstance(address, ExchangeAddress):
        from complyq_workers.events.rabbitmq import RabbitEventQueue  # noqa: PLC0415

        queue: EventQueue = RabbitEventQueue(address, settings.namespace)
    else:
        from complyq_workers.events.sqs import SqsEventQueue  # noqa: PLC0415

        queue = SqsEventQueue(address)
    return RecordedPublisher(queue, published)
