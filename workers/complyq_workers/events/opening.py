"""Chooses the results queue by its URL."""

from urllib.parse import urlsplit

from complyq_config.errors import ConfigurationError
from complyq_config.settings import Settings
from complyq_workers.events.publisher import EventPublisher
from complyq_workers.events.redis_stream import RedisStreamPublisher

_REDIS_SCHEMES = ("redis", "rediss", "unix")


def open_publisher(settings: Settings) -> EventPublisher:
    """Return the publisher for the results queue of these settings; nothing is contacted yet.

    Raises:
        ConfigurationError: this version knows no such queue.
    """
    url = settings.effective_events_url.get_secret_value()
    scheme = urlsplit(url).scheme
    if scheme not in _REDIS_SCHEMES:
        raise ConfigurationError(f"COMPLYQ_EVENTS_URL: this version publishes to redis, rediss and unix, not {scheme}.")
    return RedisStreamPublisher(url, settings.namespace, replay_hours=settings.events_replay_hours)
