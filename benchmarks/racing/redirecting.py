"""Sends what others' programs mean for X to the simulator; nothing else of a request changes."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

X_URL = "https://api.twitter.com"


class ToSimulator(HTTPAdapter):
    """To be mounted at `X_URL` in a session."""

    def __init__(self, origin: str) -> None:
        super().__init__()
        self._origin = origin

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request to the simulator's origin."""
        request.url = (request.url or "").replace(X_URL, self._origin)
        return super().send(request, *args, **kwargs)
