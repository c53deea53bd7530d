"""A producer as a process of its own, which is killed while it enqueues: `python -m soak.submit`, a request on stdin."""

import sys

import msgspec

from complyq_producer import Batch, Producer
from soak.evidence import Request


def submit(producer: Producer, request: Request) -> Batch:
    """Enqueue a request. Calling it again is what a caller does that does not know whether it got through."""
    return producer.enqueue(
        request.ids.lines(),
        request.type,
        key=request.key,
        name=f"soak {request.id}",
        labels={"request": request.id},
        on_invalid="skip",
    )


def main() -> None:
    """Say that everything is ready, enqueue when told to, and print the batch id."""
    producer = Producer.from_env()
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=Request)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.buffer.readline()
    sys.stdout.write(f"{submit(producer, request).id}\n")


if __name__ == "__main__":
    main()
