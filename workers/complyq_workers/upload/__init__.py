"""Getting the IDs to X: which of the two contracts applies, the resumable protocol, and the thin shell that sends."""

from complyq_workers.upload.contract import UploadContract, contract_of
from complyq_workers.upload.errors import (
    CorruptUploadError,
    PayloadMismatchError,
    SessionGoneError,
    StartRefusedError,
    TooLargeError,
    TransientUploadError,
    UploadError,
    UploadInterruptedError,
    UploadPausedError,
    UploadRefusedError,
    WindowExpiredError,
)
from complyq_workers.upload.protocol import Hashes
from complyq_workers.upload.uploader import Delivered, Pace, Source, put_whole, resume, start_session, verify_hashes

__all__ = [
    "CorruptUploadError",
    "Delivered",
    "Hashes",
    "Pace",
    "PayloadMismatchError",
    "SessionGoneError",
    "Source",
    "StartRefusedError",
    "TooLargeError",
    "TransientUploadError",
    "UploadContract",
    "UploadError",
    "UploadInterruptedError",
    "UploadPausedError",
    "UploadRefusedError",
    "WindowExpiredError",
    "contract_of",
    "put_whole",
    "resume",
    "start_session",
    "verify_hashes",
]
