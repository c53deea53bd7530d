"""A second thread, for what another core can do meanwhile: sorting, hashing, writing and waiting for disks."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import ParamSpec, Self

P = ParamSpec("P")


class Background:
    """Does one thing after another while its owner prepares the next one; used as a context.

    Nothing is under way behind the context, however it is left.

    Args:
        apart: False to do everything at once in the owner's thread: a second one is not worth its start for little work.
    """

    def __init__(self, *, apart: bool = True) -> None:
        self._apart = apart
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._thread is not None:
            self._thread.shutdown()
        if kind is None:
            self.wait()

    def run(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have this done, once what was given before is done; raises what that raised."""
        if not self._apart:
            act(*args, **kwargs)
            return
        self.wait()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ids")
        self._under_way = self._thread.submit(copy_context().run, partial(act, *args, **kwargs))

    def wait(self) -> None:
        """Wait until everything is done; raise what the last of it raised."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()
