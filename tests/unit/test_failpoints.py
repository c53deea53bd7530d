"""Failpoints: they count over processes, kill what they are told to kill, and leave out no side effect."""

import ast
import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import complyq_workers
from complyq_producer import layout
from complyq_producer.facts import utc_now
from complyq_producer.layout import BatchKeys, JobKeys, ReplayKeys, kind_of
from complyq_producer.model import BatchId, ComplianceType, ObjectFormat, ReplayId
from complyq_producer.store import ObjectStore, open_store
from complyq_workers.coordination import Coordination
from complyq_workers.events import EventPublisher
from complyq_workers.failpoints import VARIABLE, Action, Failpoints, When, with_failpoints
from complyq_workers.failpoints.ports import COORDINATION, EVENTS, STEPS, STORE, TRANSPORT, Effects, X
from complyq_workers.pipeline import Ports
from complyq_workers.x import Transport, XClient
from support.failpoint_cases import CASES, OTHER_CASES
from support.inline_workers import inline_workers
from support.simulator_process import Simulator

COUNTER = "from complyq_workers.failpoints import reach\nfor _ in range(5): reach('here')"
THREADS = f"from threading import Thread\nfor _ in range(8): Thread(target=exec, args=({COUNTER!r}, {{}})).start()"
GROUP = f"import os, time\nif os.fork() == 0:\n    exec({COUNTER!r})\n    os._exit(0)\ntime.sleep(60)"
CATALOGUE = {*CASES, *OTHER_CASES}
BY_PRODUCERS = {"ids", "batch", "cancel_requested", "key", "open_batch", "released"}
"""Kinds of objects that workers never create."""
SENDING = re.compile(r"(.*\.)?(send_task|retry|apply_async|delay|producer\.publish)")
SAMPLES = {
    "int": 3,
    "str": "publish-1",
    "ComplianceType": ComplianceType.TWEETS,
    "ObjectFormat": ObjectFormat.JSON_LINES,
}


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failpoints:
    """Failpoints that this process and its children run with."""
    points = Failpoints(tmp_path / "failpoints.json")
    monkeypatch.setenv(VARIABLE, str(points.file))
    return points


def run(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


def unreachable_ports(folder: Path) -> Iterator[Ports]:
    nowhere = Simulator(None, "http://127.0.0.1:1", "http://127.0.0.1:1", "t")  # type: ignore[arg-type] # no process
    with inline_workers(open_store(f"file://{folder}/store"), nowhere, folder) as workers:
        yield workers.ports


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    """Ports of which only the store leads anywhere."""
    yield from unreachable_ports(tmp_path)


def test_without_the_variable_nothing_is_wrapped(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation in production runs as if there were no failpoints."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert with_failpoints(ports) is ports


def test_a_side_effect_reaches_its_failpoint_before_and_after(ports: Ports, points: Failpoints) -> None:
    """The call itself does what it always does."""
    wrapped = with_failpoints(ports)
    assert wrapped.store.create("jobs/tweets/00000001/plan.json", b"{}")
    assert wrapped.store.read("jobs/tweets/00000001/plan.json").body == b"{}"
    reached = [(each.name, each.when) for each in points.reached()]
    assert reached == [("store.create.plan", When.BEFORE), ("store.create.plan", When.AFTER)]


def test_a_call_that_raises_reaches_its_failpoint_too(ports: Ports, points: Failpoints) -> None:
    """It may have had its effect."""
    with pytest.raises(ValueError, match="not an object key"):
        with_failpoints(ports).store.delete("/")
    assert [each.when for each in points.reached()] == [When.BEFORE, When.AFTER]


def test_hits_are_counted_over_all_processes(points: Failpoints) -> None:
    """Three processes come by five times each; the one with the eighth hit dies, and no other."""
    points.arm("here", hit=8, then=Action.KILL_PROCESS)
    processes = [run(COUNTER) for _ in range(3)]
    assert sorted(process.wait() for process in processes) == [-signal.SIGKILL, 0, 0]
    assert [each.pid for each in points.reached()][7] in {each.pid for each in processes if each.returncode}


def test_arming_again_counts_from_the_start(points: Failpoints) -> None:
    """Tests do not disturb each other, and running workers need no restart."""
    struck: list[Action] = []
    counting = Failpoints(points.file, act=struck.append)
    for _ in range(2):
        counting.arm("here", hit=2, then=Action.KILL_PROCESS)
        for _ in range(3):
            counting.reach("here")
            counting.reach("elsewhere")
            counting.reach("here", When.BEFORE)
    assert struck == [Action.KILL_PROCESS] * 2
    counting.arm("here", hit="every", then=Action.STOP_PROCESS)
    for _ in range(3):
        counting.reach("here")
    counting.disarm()
    counting.reach("here")
    assert struck[2:] == [Action.STOP_PROCESS] * 3


def test_a_worker_is_killed_with_all_its_processes(points: Failpoints) -> None:
    """As when a machine loses power."""
    points.arm("here", then=Action.KILL_WORKER)
    assert run(GROUP).wait() == -signal.SIGKILL


@pytest.mark.parametrize("code", [COUNTER, THREADS], ids=["one thread", "threads"])
def test_a_frozen_process_goes_on_when_it_is_woken(points: Failpoints, code: str) -> None:
    """And keeps nobody from reaching failpoints meanwhile."""
    points.arm("here", then=Action.STOP_PROCESS)
    process = run(code)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert run(COUNTER).wait(60) == 0
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("port", "effects"),
    [
        (ObjectStore, STORE),
        (Coordination, COORDINATION),
        (EventPublisher, EVENTS),
        (XClient, X),
        (Transport, TRANSPORT),
    ],
)
def test_of_every_method_of_a_port_it_is_said_whether_it_has_side_effects(port: type, effects: Effects) -> None:
    """A new method without a word about it fails here."""
    methods = {name for name, member in vars(port).items() if inspect.isfunction(member) and not name.startswith("_")}
    assert methods == set(effects)


def test_every_port_with_side_effects_is_wrapped(ports: Ports, points: Failpoints) -> None:
    """The others compute, tell the time, or renew what the wrapped ones hold."""
    wrapped = with_failpoints(ports)
    same = {field.name for field in fields(Ports) if getattr(wrapped, field.name) is getattr(ports, field.name)}
    assert same == {"sealer", "limits", "clock", "keep_lease", "together"}


@pytest.mark.parametrize(
    ("prefix", "effects"), [("store", STORE), ("coordination", COORDINATION), ("events", EVENTS), ("x", X)]
)
def test_every_side_effect_is_in_the_suite_that_kills(prefix: str, effects: Effects) -> None:
    """A failpoint that nobody is killed at proves nothing."""
    names = [f"{prefix}.{method}" for method, named in effects.items() if named]
    assert [name for name in names if not any(f"{case}.".startswith(f"{name}.") for case in CATALOGUE)] == []


def test_every_step_is_in_the_suite_that_kills() -> None:
    """With its beginning and its end."""
    wanted = {f"coordination.{method}.{step}" for method in ("take_step", "end_step") for step in STEPS}
    assert wanted <= CATALOGUE


def test_every_kind_of_object_is_in_the_suite_that_kills() -> None:
    """A new fact needs its failpoint in the catalogue."""
    created = {name.rsplit(".", 1)[1] for name in CATALOGUE if name.startswith("store.create")}
    assert {kind_of(key) for key in keys_of_every_kind()} == created | BY_PRODUCERS


def test_every_message_that_a_worker_sends_reaches_a_failpoint() -> None:
    """Whoever sends one says so."""
    senders = {name: calls for name, calls in functions() if any(SENDING.fullmatch(call) for call in calls)}
    assert set(senders) == {"follow", "hint_at_sweep", "bury"}
    assert [name for name, calls in senders.items() if "reach" not in calls] == []


def keys_of_every_kind() -> Iterator[str]:
    batch = BatchId("0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")
    yield layout.key_record("key")
    yield layout.done_marker(batch, utc_now())
    yield layout.queue_life(batch)
    yield layout.purged_up_to(ComplianceType.TWEETS, 1)
    for keys in (BatchKeys(batch), JobKeys(ComplianceType.TWEETS, 1), ReplayKeys(ReplayId(batch))):
        for name, member in vars(type(keys)).items():
            if isinstance(member, property) and not getattr(keys, name).endswith(("/", "-")):
                yield getattr(keys, name)
            if inspect.isfunction(member) and not name.startswith("_"):
                given = list(inspect.signature(member).parameters.values())[1:]
                yield getattr(keys, name)(*[SAMPLES[parameter.annotation] for parameter in given])


def functions() -> Iterator[tuple[str, set[str]]]:
    """All functions of the workers, with the names of what they call."""
    for path in Path(complyq_workers.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield node.name, {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
