"""The contract of the events, for programs: a JSON Schema for each type, and an AsyncAPI document of where they are sent.

The files beside this one are the contract; the tests hold every event that is published against them.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec


def event_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema (draft 7) of each type of event, by the event's `type`.

    A schema's `$id` is the `dataschema` of its events. Fields that a schema does not name are allowed, and should be.
    """
    schemas = [msgspec.json.decode(body) for name, body in contract_files().items() if name.endswith(".json")]
    return {schema["title"]: schema for schema in schemas}


def contract_files() -> dict[str, bytes]:
    """Return the files of the contract by name: the schemas, and `asyncapi.yaml`, which refers to them."""
    found = (file for file in files(__name__).iterdir() if Path(file.name).suffix in {".json", ".yaml"})
    return {file.name: file.read_bytes() for file in sorted(found, key=lambda file: file.name)}
