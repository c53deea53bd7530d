"""What X's headers say of an endpoint's window of requests, and what is held where they say nothing."""

from __future__ import annotations

from dataclasses import dataclass

ASSUMED_REQUESTS = 150
ASSUMED_SECONDS = 900.0
"""X's limits for create, get and list, where its headers do not tell them.

https://docs.x.com/x-api/compliance/batch-compliance/introduction
"""
LEARNING_SECONDS = 0.5
"""After so long to ask again while another request is to learn the window."""
PROBE_SECONDS = 15.0
"""A request that was to learn the window, and was heard no more of, is waited for no longer than this."""
RESERVED_SECONDS = 120.0
"""A reservation that was never settled counts as a request under way for so long: longer than X's time-outs."""
SAME_WINDOW_SECONDS = 5.0
"""Ends that two answers tell of one window are at most so far apart: X's clock shows whole seconds, and answers travel."""


@dataclass(frozen=True, slots=True)
class Quota:
    """X's budget of requests for one endpoint, as an answer's headers showed it.

    Attributes:
        limit: requests in a window.
        remaining: requests that were left of it.
        seconds_left: seconds until the next window, by X's own clock.
    """

    limit: int
    remaining: int
    seconds_left: float
