"""The request budget as workers go through it, before an X of which a test knows how many requests it has left."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from complyq_producer.model import ComplianceType, RemoteId
from complyq_workers.coordination import Coordination, CoordinationError, MemoryCoordination
from complyq_workers.pipeline.budget import BudgetError
from complyq_workers.pipeline.ports import Ports
from complyq_workers.pipeline.remote import Remote
from complyq_workers.pipeline.step import Hint, run_step
from complyq_workers.x import AmbiguousAnswerError, StaticBearer, Transport, UnreachableError, XClient
from complyq_workers.x.messages import Reply, Request

TWEETS = ComplianceType.TWEETS
EPOCH = datetime(2026, 11, 22, tzinfo=UTC)
X_AHEAD = timedelta(hours=2)
WINDOW = 900.0


@dataclass
class ManualClock:
    """Implements `Clock`; who sleeps sees time pass."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)
    while_asleep: Callable[[], object] = lambda: None

    def now(self) -> datetime:
        """Tell the time of day."""
        return EPOCH + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Tell seconds that only grow."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass, in which something may happen."""
        self.seconds += seconds
        self.slept.append(seconds)
        self.while_asleep()


@dataclass
class CountingX:
    """What `XClient` uses of a transport: an X that counts, whose clock is two hours ahead of ours."""

    clock: ManualClock
    limit: int = 150
    used: int = 0
    refused: int = 0
    resets_at: float = 0.0
    tells: bool = True
    answers: list[Callable[[], Reply]] = field(default_factory=list)
    """Given in X's place, while there are any."""

    def use(self, credentials: object) -> None:
        """Need no credentials."""

    def send(self, request: Request, *, limit: int = 0) -> Reply:
        """Count and answer a request."""
        if self.answers:
            return self.answers.pop(0)()
        if self.clock.seconds >= self.resets_at:
            self.used, self.resets_at = 0, self.clock.seconds + WINDOW
        self.used += 1
        if self.used > self.limit:
            self.refused += 1
        return Reply(200 if self.used <= self.limit else 429, self.headers(), b'{"meta":{"result_count":0}}')

    def headers(self) -> dict[str, str]:
        """Say what X says with each answer."""
        left = {"limit": self.limit, "remaining": max(0, self.limit - self.used), "reset": self.epoch(self.resets_at)}
        told = {f"x-rate-limit-{name}": str(number) for name, number in left.items()} if self.tells else {}
        return {"date": format_datetime(self.clock.now() + X_AHEAD, usegmt=True), **told}

    def epoch(self, seconds: float) -> int:
        """Return a time of ours by X's clock."""
        return int((EPOCH + X_AHEAD).timestamp() + seconds)


class Unreachable:
    """A coordination that does not answer, for as long as it is down."""

    def __init__(self, behind: object) -> None:
        self.down = True
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.down:
                raise CoordinationError("Redis is down")
            return getattr(self._behind, name)(*args, **kwargs)

        return call


@dataclass
class Site:
    """An X, and workers that share a coordination."""

    clock: ManualClock
    x: CountingX
    memory: MemoryCoordination

    def worker(self, coordination: object = None) -> Remote:
        """Make another worker process."""
        client = XClient("https://api.x.com", cast("Transport", self.x), StaticBearer("t"))
        return Remote(client, cast("Coordination", coordination or self.memory), self.clock)

    @property
    def left(self) -> int | None:
        """How many lists the workers believe to have left."""
        return self.memory.budgets()["list"].remaining


@pytest.fixture
def site() -> Site:
    """A world in which nothing happened yet."""
    clock = ManualClock()
    return Site(clock, CountingX(clock), MemoryCoordination(clock.monotonic))


def lists(remote: Remote) -> int:
    """List jobs until the budget is used up; return how often that went well."""
    for number in range(1000):
        try:
            remote.list_jobs(TWEETS)
        except BudgetError:
            return number
    raise AssertionError("without end")


def refusal(**headers: str) -> Callable[[], Reply]:
    """Make a 429 at midnight by X's clock."""
    date = format_datetime(EPOCH + X_AHEAD, usegmt=True)
    return lambda: Reply(429, {"date": date, **{name.replace("_", "-"): text for name, text in headers.items()}})


def wait_of(call: Callable[[], object]) -> float:
    """Return how long a call says to wait."""
    with pytest.raises(BudgetError) as raised:
        call()
    return raised.value.wait_seconds


def test_workers_send_together_what_x_allows(site: Site) -> None:
    """Never more; the rest waits until the window ends by X's clock, to the second."""
    first, second = site.worker(), site.worker()
    assert [len(first.list_jobs(TWEETS).value) for _ in range(100)] == [0] * 100
    assert lists(second) == 50
    assert wait_of(lambda: first.list_jobs(TWEETS)) == pytest.approx(WINDOW, abs=1.5)
    assert site.x.refused == 0
    site.clock.seconds += WINDOW + 1.5
    assert lists(first) == 150
    assert site.x.refused == 0


def test_a_foreign_client_is_seen_in_what_is_left(site: Site) -> None:
    """We send what it leaves us."""
    remote = site.worker()
    remote.list_jobs(TWEETS)
    site.x.used += 100
    assert lists(remote) == 49
    assert site.x.refused == 0


def test_a_request_waits_a_moment_while_another_one_learns(site: Site) -> None:
    """And goes as soon as the window is known, in the same step."""
    site.memory.reserve("list", "probe")
    site.clock.while_asleep = lambda: site.memory.settle("list", "probe", None, sent=False)
    site.worker().list_jobs(TWEETS)
    assert site.clock.slept == [0.5]


def test_a_step_is_not_held_up_for_long(site: Site) -> None:
    """After two seconds it comes back later."""
    site.memory.reserve("list", "probe")
    assert wait_of(lambda: site.worker().list_jobs(TWEETS)) == 0.5
    assert site.clock.slept == [0.5] * 4
    assert site.x.used == 0


def test_the_last_look_comes_right_before_the_request(site: Site) -> None:
    """After any wait for the budget; what it raises sends nothing, and costs nothing."""
    remote = site.worker()
    site.memory.reserve("create", "probe")
    site.clock.while_asleep = lambda: site.memory.settle("create", "probe", None, sent=False)

    def look() -> None:
        assert site.clock.slept == [0.5]
        raise KeyError("no")

    with pytest.raises(KeyError):
        remote.create_job(TWEETS, "n", resumable=True, last_look=look)
    assert site.x.used == 0
    assert site.memory.reserve("create", "next") == 0


def test_a_request_that_never_left_costs_nothing(site: Site) -> None:
    """One that X may have seen does, whether it answered or not."""
    remote = site.worker()
    remote.list_jobs(TWEETS)
    for failure, left in ((UnreachableError("no connection"), 149), (AmbiguousAnswerError("no answer"), 148)):
        site.x.answers = [raising(failure)]
        with pytest.raises(AmbiguousAnswerError):
            remote.list_jobs(TWEETS)
        assert site.left == left


def test_a_step_that_is_cut_off_may_have_sent_its_request(site: Site) -> None:
    """A shutdown interrupts whatever is under way."""
    remote = site.worker()
    remote.list_jobs(TWEETS)
    site.x.answers = [raising(SystemExit())]
    with pytest.raises(SystemExit):
        remote.list_jobs(TWEETS)
    assert site.left == 148


def test_an_error_tells_the_budget_too(site: Site) -> None:
    """X's headers come with every answer."""
    remote = site.worker()
    remote.list_jobs(TWEETS)
    site.x.used = 120
    site.x.answers = [lambda: Reply(503, site.x.headers())]
    with pytest.raises(AmbiguousAnswerError):
        remote.list_jobs(TWEETS)
    assert site.left == 30


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x_rate_limit_reset": str(int((EPOCH + X_AHEAD).timestamp()) + 300)}, 300.0),
        ({"retry_after": "7"}, 7.0),
        ({}, 60.0),
    ],
)
def test_a_refusal_is_honoured_by_all_to_the_second(site: Site, headers: dict[str, str], seconds: float) -> None:
    """By X's own clock, whatever ours says; then one request at a time finds out what is left."""
    site.clock.seconds = 0
    site.x.answers = [refusal(**headers)]
    first, second = site.worker(), site.worker()
    assert wait_of(lambda: first.list_jobs(TWEETS)) == seconds
    assert wait_of(lambda: second.list_jobs(TWEETS)) == seconds
    site.clock.seconds += seconds - 2.5
    assert wait_of(lambda: second.list_jobs(TWEETS)) == 2.5
    assert site.x.used == 0
    site.clock.seconds += 2.5
    second.list_jobs(TWEETS)
    assert site.x.used == 1


def test_a_process_without_redis_has_a_small_share(site: Site) -> None:
    """Twenty of them together send no more than X allows in fifteen minutes."""
    workers = [site.worker(Unreachable(site.memory)) for _ in range(20)]
    site.x.tells = False
    assert {lists(worker) for worker in workers} == {7}
    site.clock.seconds += WINDOW - 10
    assert wait_of(lambda: workers[0].list_jobs(TWEETS)) == 10
    site.clock.seconds += 10
    assert lists(workers[0]) == 7


def test_a_process_without_redis_heeds_what_x_says(site: Site) -> None:
    """A refusal, and headers that show fewer requests left than there may be processes."""
    remote = site.worker(Unreachable(site.memory))
    site.x.used, site.x.resets_at = 129, site.clock.seconds + 300
    assert lists(remote) == 2
    assert wait_of(lambda: remote.list_jobs(TWEETS)) == pytest.approx(300, abs=1.5)
    site.x.answers = [refusal(retry_after="30")]
    with pytest.raises(BudgetError):
        remote.get_job(RemoteId("1"))
    assert wait_of(lambda: remote.get_job(RemoteId("1"))) == pytest.approx(30, abs=1.5)


def test_an_answer_is_not_lost_with_redis(site: Site) -> None:
    """What X said counts, whether the budget can be told of it or not."""
    coordination = Unreachable(site.memory)
    coordination.down = False
    remote = site.worker(coordination)

    def answer() -> Reply:
        coordination.down = True
        return Reply(200, {}, b'{"meta":{}}')

    site.x.answers = [answer]
    assert remote.list_jobs(TWEETS).value == []
    site.x.answers = [refusal()]
    assert wait_of(lambda: remote.list_jobs(TWEETS)) == 60


def test_redis_learns_from_requests_that_it_did_not_allow(site: Site) -> None:
    """Once it is back, the next answer tells what was sent meanwhile."""
    coordination = Unreachable(site.memory)
    other = site.worker()
    other.list_jobs(TWEETS)
    lists(site.worker(coordination))
    assert site.left == 149
    other.list_jobs(TWEETS)
    assert site.left == 150 - site.x.used


def test_what_x_told_a_process_holds_when_redis_is_empty(site: Site) -> None:
    """It does not ask once more what it knows."""
    remote = site.worker()
    assert lists(remote) == 150
    site.memory.flush()
    assert wait_of(lambda: remote.list_jobs(TWEETS)) > WINDOW - 60
    assert site.x.refused == 0


def test_the_pace_makes_the_last_third_last(site: Site) -> None:
    """With plenty left there is no need; without Redis the small share must last."""
    remote = site.worker()
    assert remote.pace("list") == 0
    site.x.used, site.x.resets_at = 99, site.clock.seconds + 400
    remote.list_jobs(TWEETS)
    assert remote.pace("list") == 0
    remote.list_jobs(TWEETS)
    assert remote.pace("list") == pytest.approx(401 / 49, rel=0.01)
    lists(remote)
    assert remote.pace("list") == pytest.approx(401, abs=1.5)
    assert site.worker(Unreachable(site.memory)).pace("list") == pytest.approx(WINDOW / 7)


@pytest.mark.parametrize(("wait", "most"), [(2.0, 2.2), (200.0, 205.0)])
def test_a_wait_is_never_cut_short_and_little_longer(site: Site, wait: float, most: float) -> None:
    """All that wait for a window come back spread over a few seconds."""

    def act(*_: object) -> Any:
        raise BudgetError("list", wait)

    waits = {again_in(site, str(number), act) for number in range(100)}
    assert len(waits) > 50
    assert wait <= min(waits)
    assert max(waits) <= most


def again_in(site: Site, name: str, act: Callable[..., Any]) -> float:
    """Run a step; return when it wants to be run again."""
    ports = SimpleNamespace(
        coordination=site.memory,
        clock=site.clock,
        limits=SimpleNamespace(lease_seconds=30.0),
        keep_lease=lambda _: nullcontext(),
    )
    outcome = run_step(cast("Ports", ports), Hint("complyq.poll_job", (name,)), act)
    assert outcome.again_in
    return outcome.again_in


def raising(error: BaseException) -> Callable[[], Reply]:
    """Make an answer that never comes."""

    def answer() -> Reply:
        raise error

    return answer
