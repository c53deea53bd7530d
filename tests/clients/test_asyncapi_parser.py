"""AsyncAPI's own parser, in Node.js."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from complyq_producer import event_schemas
from complyq_producer.schemas import contract_files
from support.node_packages import node_with

READ = """
import { fromFile, Parser } from '@asyncapi/parser';
const { document, diagnostics } = await fromFile(new Parser(), 'asyncapi.yaml').parse();
const messages = document?.messages().all().map((one) => [one.name(), one.payload().id()]) ?? [];
const channels = document?.channels().all().map((one) => one.address()) ?? [];
console.log(JSON.stringify({ messages, channels, errors: diagnostics.filter((one) => one.severity === 0) }));
"""


@pytest.mark.timeout(180)
def test_the_official_parser_understands_our_document(request: pytest.FixtureRequest) -> None:
    """It finds no error, every event with its schema, and a channel for each kind of queue."""
    folder = node_with({"@asyncapi/parser": "3.6.3"}, request.config)
    read = _parsed(folder)
    assert read["errors"] == []
    assert dict(read["messages"]) == {type_: schema["$id"] for type_, schema in event_schemas().items()}
    assert read["channels"] == [
        "complyq.events", "complyq-events", "complyq-events.fifo", "complyq.{type}.{event}",
    ]  # fmt: skip


def _parsed(folder: Path) -> dict[str, Any]:
    for name, body in {**contract_files(), "read.mjs": READ.encode()}.items():
        (folder / name).write_bytes(body)
    output = subprocess.run(["node", "read.mjs"], cwd=folder, capture_output=True, check=True, timeout=60).stdout
    read: dict[str, Any] = json.loads(output)
    return read
