"""Settings of every Complyq process, read once at its edge from the environment.

Only the environment is read: no `.env` file, no working directory, so that a process never takes up
settings that its operator did not give it. Every variable is `COMPLYQ_` and the field's name in capitals;
an empty variable counts as unset. S3 itself is configured by the AWS variables, as boto3 reads them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from complyq_config import values
from complyq_config.errors import ConfigurationError
from complyq_config.redaction import MASK, redact
from complyq_config.spool_dir import default_spool_dir, ready_spool_dir

PREFIX = "COMPLYQ_"
CHUNK_UNIT = 262_144
"""Bytes: Google Cloud Storage takes chunks of multiples of 256 KiB only."""
DEFAULT_STREAM = "complyq.events"
LOCAL_REDIS = "redis://127.0.0.1:6379/0"


def _secret(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda value: SecretStr(check(value.get_secret_value())))


def _service(*schemes: str) -> AfterValidator:
    return _secret(lambda url: values.service_url(url, schemes))


def _chunk(size: int) -> int:
    if size < 0 or size % CHUNK_UNIT:
        raise ValueError(f"must be 0 (one stream) or a multiple of {CHUNK_UNIT}")
    return size


def _comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _capitals(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _local_store() -> str:
    return (Path.cwd() / ".complyq" / "store").as_uri()


Token = Annotated[SecretStr, _secret(values.secret_word)]
LongToken = Annotated[SecretStr, _secret(values.long_secret_word)]
BrokerUrl = Annotated[SecretStr, _secret(values.broker_url)]
RedisUrl = Annotated[SecretStr, _secret(values.redis_url)]
EventsUrl = Annotated[SecretStr, _secret(values.events_url)]
ProxyUrl = Annotated[SecretStr, _service("http", "https", "socks5", "socks5h")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
ResultsFormat = Literal["jsonl", "parquet", "both"]


class Settings(BaseSettings):
    """What an operator may set. Build it with `load_settings`, which explains what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")] = "default"
    """Keeps installations apart that share a Redis or a broker: lower-case letters, digits and hyphens, at most 32."""
    bearer_token: Token | None = None
    """X's app-only bearer token. It goes to the origin of `api_url` and nowhere else."""
    api_key: Token | None = None
    """X's API key, exchanged together with `api_secret` for an app-only token where no `bearer_token` is set."""
    api_secret: Token | None = None
    """The secret that belongs to `api_key`."""
    api_url: Annotated[str, AfterValidator(values.web_base)] = "https://api.x.com"
    """Where X's API is; plain http on loopback only."""
    broker_url: BrokerUrl = SecretStr(LOCAL_REDIS)
    """Carries Celery's messages: redis, rediss, sentinel, amqp or amqps; of a RabbitMQ cluster several, as URL;URL."""
    redis_url: RedisUrl = SecretStr(LOCAL_REDIS)
    """Holds locks, leases, the request budget and progress: redis, rediss, unix or sentinel://host,host/0?master=NAME."""
    store_url: Annotated[
        str,
        AfterValidator(values.store_url),
        Field(default_factory=_local_store),
    ]
    """Holds IDs, facts and results: file:///absolute/path or s3://bucket[/prefix]; default ./.complyq/store."""
    events_url: EventsUrl | None = None
    """The results queue: redis://host/0?stream=NAME, sqs://QUEUE or amqp://host/vhost?exchange=NAME; unset: a stream beside the locks."""
    events_inline_max: Annotated[int, Field(ge=0)] = 10_000
    """Results a batch: up to this many stand inside the events, beyond it the events refer to the stored results."""
    events_replay_hours: Annotated[int, Field(ge=1)] = 168
    """Hours: for so long it is remembered which events were published, and a lost stream is made again from ended batches."""
    events_max_backlog: Annotated[int, Field(ge=0)] = 100_000
    """Events that may wait for listeners: above it publishing pauses, jobs go on; 0: it never pauses."""
    max_upload_bytes: Annotated[int, Field(ge=21)] = 120_000_000
    """Bytes of IDs that one job may carry; at least one line."""
    upload_chunk_bytes: Annotated[int, AfterValidator(_chunk)] = 0
    """Bytes an upload request, a multiple of 262144, for networks that cut long connections; 0: one stream."""
    poll_min_seconds: Seconds = 30.0
    """Seconds between two looks at a job at least."""
    poll_max_seconds: Seconds = 60.0
    """Seconds between two looks at a job at most."""
    max_attempts: Annotated[int, Field(ge=1)] = 3
    """Failures of a part after which its batch fails."""
    max_parked_hours: Annotated[float, Field(gt=0, le=8_760)] = 12.0
    """Hours after which a batch fails of which a job is parked: it crashed its worker every time and nobody released it."""
    merge: bool = True
    """Whether waiting parts of several batches travel in one job; false: a job carries parts of one batch only."""
    results_format: ResultsFormat = "jsonl"
    """How workers store results: jsonl (JSON lines, gzip), parquet or both; the last two need the extra `parquet`."""
    retention_days: Annotated[int, Field(ge=1)] | None = None
    """Days after its end at which workers remove a batch's IDs and results; unset: only `complyq purge` does."""
    spool_dir: Path = Field(default_factory=default_spool_dir)
    """Where large sorts spill: a folder on a disk, never tmpfs; default /var/tmp/complyq-<uid>."""
    seal_key: Token | None = None
    """Seals upload session URIs in the store, so that another worker can continue an upload."""
    allowed_origins: Annotated[
        tuple[Annotated[str, AfterValidator(values.origin)], ...],
        NoDecode,
        BeforeValidator(_comma_separated),
    ] = ()
    """Origins, comma separated, to which upload and download URLs may point beside X's and Google's own."""
    proxy_url: ProxyUrl | None = None
    """A proxy for requests to X and its storage; the proxy variables of the environment are not read."""
    log_format: Literal["console", "json"] = "console"
    """How log lines look: console for people, json for machines."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_capitals)] = "INFO"
    """The least severe log lines that are written: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """TCP port on which `complyq worker` serves metrics for Prometheus, in a process of its own; unset: none."""
    metrics_host: str = "127.0.0.1"
    """The address of this machine on which metrics are served, without a password; 0.0.0.0: all of its addresses."""
    dashboard_token: LongToken | None = None
    """What `complyq dashboard` asks of those who look, 16 characters at least; unset: it serves this machine only."""
    lease_seconds: Seconds = 30.0
    """Seconds after which the step of a worker that fell silent may be taken over."""
    sweep_seconds: Seconds = 20.0
    """Seconds between two searches for work whose message was lost."""
    shutdown_seconds: Annotated[int, Field(ge=0, le=600)] = 30
    """Seconds that a worker told to stop gives its running steps."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.poll_min_seconds > self.poll_max_seconds:
            raise ValueError("COMPLYQ_POLL_MIN_SECONDS must not exceed COMPLYQ_POLL_MAX_SECONDS")
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("COMPLYQ_API_KEY and COMPLYQ_API_SECRET must be set together")
        return self

    @property
    def effective_events_url(self) -> SecretStr:
        """The results queue: `events_url`, or else a stream beside the locks in the Redis of `redis_url`."""
        return self.events_url or SecretStr(_with_stream(self.redis_url.get_secret_value()))

    def effective(self) -> dict[str, object]:
        """Return what is in force, by field name, with every secret masked: fit for a log line at boot."""
        shown = {name: _shown(name, getattr(self, name)) for name in type(self).model_fields}
        return shown | {"events_url": _shown("events_url", self.effective_events_url)}

    def environment(self) -> dict[str, str]:
        """Return all variables, so that a child process loads these settings whatever else its environment holds.

        Holds secrets in clear. What is unset is the empty string.
        """
        return {variable(name): _plain(getattr(self, name)) for name in type(self).model_fields}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment.

    Args:
        overrides: Values by field name that win over the environment.

    Raises:
        ConfigurationError: A variable is wrong; the message names each one and what it may hold.
    """
    unknown = sorted(set(overrides) - set(Settings.model_fields))
    if unknown:
        raise ConfigurationError(f"no such setting: {', '.join(unknown)}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [_explanation(detail) for detail in error.errors(include_url=False)]
        raise ConfigurationError("wrong settings:\n  " + "\n  ".join(lines)) from None


def disk_spool_dir(settings: Settings) -> Path:
    """Create the spool folder for this user alone where it is missing, and return it.

    Raises:
        ConfigurationError: It cannot be written, belongs to somebody else, or lies in memory (tmpfs).
    """
    return ready_spool_dir(settings.spool_dir)


def variable(field: str) -> str:
    """Name the environment variable of a field."""
    return PREFIX + field.upper()


def is_secret(field: str) -> bool:
    """Tell whether the value of a field must not be shown."""
    return "SecretStr" in str(Settings.model_fields[field].annotation)


def _explanation(detail: ErrorDetails) -> str:
    allowed = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return allowed
    name = str(detail["loc"][0])
    found = MASK if is_secret(name) else redact(repr(detail["input"]))
    return f"{variable(name)}={found}: {allowed}. {Settings.model_fields[name].description}"


def _shown(name: str, value: object) -> object:
    if not isinstance(value, SecretStr):
        return str(value) if isinstance(value, Path) else value
    return redact(value.get_secret_value()) if name.endswith("_url") else MASK


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _with_stream(url: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query), ("stream", DEFAULT_STREAM)]
    return urlunsplit(parts._replace(query=urlencode(query)))
