"""Holds events against the schemas that listeners are given."""

from functools import cache
from typing import Any

from jsonschema_rs import Draft7Validator

from complyq_producer import event_schemas


def keep_contract(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events, each of which says what its schema promises."""
    for event in events:
        assert breach(event) is None, breach(event)
    return events


def breach(event: dict[str, Any]) -> str | None:
    """Say what of an event its schema does not allow, if there is something."""
    return next((str(error) for error in _validators()[event["type"]].iter_errors(event)), None)


def undescribed(event: dict[str, Any]) -> str | None:
    """Say which field of an event its schema does not name, if there is one; of results X alone decides."""
    return next((str(error) for error in _closed_validators()[event["type"]].iter_errors(event)), None)


@cache
def _validators() -> dict[str, Draft7Validator]:
    return {type_: _validator(schema) for type_, schema in event_schemas().items()}


@cache
def _closed_validators() -> dict[str, Draft7Validator]:
    return {type_: _validator(_closed(schema)) for type_, schema in event_schemas().items()}


def _closed(schema: Any) -> Any:
    """Return a schema without the room that it leaves for fields of versions to come."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: one if name == "result" else _closed(one) for name, one in schema.items()}
    return {"additionalProperties": False, **inner} if "properties" in inner else inner


def _validator(schema: dict[str, Any]) -> Draft7Validator:
    return Draft7Validator(schema, validate_formats=True)
