"""Requests to be sent and answers that were read, as plain values: what pure code works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from complyq_workers.x.origins import location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class StreamedBody(Protocol):
    """A request body that is read as it is sent; `failure` keeps what reading it raised, `sent` how many bytes were read."""

    failure: BaseException | None
    sent: int

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def read(self, size: int = -1, /) -> bytes:
        """Give at most `size` bytes; empty at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: The HTTP method.
        url: Where to; often a credential itself, so `repr` hides its query.
        headers: Headers other than Authorization.
        body: Bytes, a stream of known length, or None.
        bearer: Send the bearer; allowed to the API's origin only.
        authorization: Send this Authorization instead of the bearer; allowed to the API's origin only.
        resumable: The answer 308 belongs to the resumable protocol here and is no redirect.
        endpoint: What is asked for, in a word, for metrics.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | StreamedBody | None = field(default=None, repr=False)
    bearer: bool = False
    authorization: str | None = field(default=None, repr=False)
    resumable: bool = False
    endpoint: str = "other"

    @property
    def name(self) -> str:
        """Method, origin and path, for messages."""
        return f"{self.method} {location(self.url)}"

    @property
    def replayable(self) -> bool:
        """Whether the same request can be sent again: its body is no stream."""
        return self.body is None or isinstance(self.body, bytes)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of a request, for metrics.

    Attributes:
        endpoint: What was asked for.
        status: Of the answer; None if there was none.
        sent: Bytes of a streamed body, whether they arrived or not.
        received: Bytes of the answer's body that were read, as they came over the wire.
    """

    endpoint: str
    status: int | None
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers with their names in lower case, and the beginning of its body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
