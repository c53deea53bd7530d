"""What a simulator is told when it starts."""

from dataclasses import dataclass
from enum import StrEnum


class Contract(StrEnum):
    """How the bytes travel: X has had two contracts."""

    CLOUD_STORAGE = "cloud-storage"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The behaviour of one simulator; times in seconds, sizes in bytes."""

    contract: Contract = Contract.CLOUD_STORAGE
    processing_seconds: float = 5.0
    flagged_rate: float = 0.1
    seed: int = 1
    rate_limit: int = 150
    token: str = "simulator-token"  # noqa: S105 - guards nothing but the simulator
    api_key: str = "simulator-key"
    api_secret: str = "simulator-secret"  # noqa: S105 - guards nothing but the simulator
    allow_concurrent_jobs: bool = False
    direct_accepts_resumable: bool = False
    max_upload_bytes: int = 128_000_000
    still_clock: bool = False
