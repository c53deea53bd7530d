"""What tests of the slot do with a world: run it to a point, wake workers, read facts."""

from complyq_producer.facts import Attempt, Created
from complyq_producer.layout import JobKeys
from complyq_producer.model import BatchId, ComplianceType
from complyq_workers.pipeline import Hint
from support.frozen import Frozen
from support.simulator_process import Simulator
from support.world import World

TWEETS = ComplianceType.TWEETS
LONG = 1000.0
"""Seconds after which no lease, due time or lock of a frozen worker is left."""


def next_hint(world: World, task: str) -> Hint:
    """Run steps until one of a task is next, and take its hint off the queue."""
    queue = world.workers._queue
    world.workers.run_until(lambda: bool(queue) and queue[0][2].task == task)
    return queue.pop(0)[2]


def wake(world: World, worker: Frozen) -> None:
    """Let a frozen worker end its step, and hand what it hints at to the others."""
    for hint in worker.wake().hints:
        world.workers.poke(hint.task, *hint.args)


def created(world: World, plan: int) -> Created | None:
    """Read which remote job belongs to a plan of Posts."""
    return world.workers.ports.facts.read(JobKeys(TWEETS, plan).created, Created)


def attempts(world: World, batch_id: BatchId) -> list[Attempt]:
    """Read which plans did not check the first part of a batch, and whether that counts."""
    view = world.workers.ports.ledger.batch(batch_id)
    return view.attempts.get(0, []) if view else []


def contract_of(simulator: Simulator) -> str:
    """Return the contract that a simulator was started with."""
    return "direct" if "--contract=direct" in str(simulator.process.args) else "cloud-storage"
