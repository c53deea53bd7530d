"""Loses calls and their answers within this process, as a network does with those to a server."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")


class Network(Protocol):
    """What lies between a caller and what it calls, and may fail. `TcpProxy` is one."""

    def lose_next_reply(self, *, times: int = 1) -> None:
        """Let the next call be carried out, and lose the answer."""

    def lose_next_request(self, *, times: int = 1) -> None:
        """Lose the next call itself."""

    def faults_left(self) -> int:
        """Return how many are still to be lost."""

    def forget_faults(self) -> None:
        """Lose nothing more."""


class LostAnswers:
    """A `Network` before implementations that work within this process; `error` is what their callers see."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._carried_out: list[bool] = []

    def before(self, target: T) -> T:
        """Return the target with this network before its methods."""
        return cast("T", _Distant(target, self))

    def lose_next_reply(self, *, times: int = 1) -> None:
        """Let the next call be carried out, and lose the answer."""
        self._carried_out += [True] * times

    def lose_next_request(self, *, times: int = 1) -> None:
        """Lose the next call itself."""
        self._carried_out += [False] * times

    def faults_left(self) -> int:
        """Return how many are still to be lost."""
        return len(self._carried_out)

    def forget_faults(self) -> None:
        """Lose nothing more."""
        self._carried_out.clear()

    def carry(self, call: Callable[[], Any]) -> Any:
        """Carry a call out, if nothing is to be lost."""
        if not self._carried_out:
            return call()
        if self._carried_out.pop(0):
            call()
        raise self._error


class _Distant:
    def __init__(self, target: object, network: LostAnswers) -> None:
        self._target = target
        self._network = network

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._target, name)
        return lambda *args, **options: self._network.carry(lambda: method(*args, **options))


def until_answered(call: Callable[[], T], error: type[Exception]) -> T:
    """Repeat a call that fails with our own error, as the next run of a step does; no other error is expected."""
    for _ in range(9):
        with suppress(error):
            return call()
    return call()
