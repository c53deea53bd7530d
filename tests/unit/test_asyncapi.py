"""The AsyncAPI document says what Complyq does."""

import json
from itertools import product
from typing import Any

import msgspec
import pytest
import yaml

from complyq_config.settings import DEFAULT_STREAM
from complyq_producer import event_schemas
from complyq_producer.listening.addresses import ExchangeAddress, SqsAddress, StreamAddress, address_of
from complyq_producer.schemas import contract_files
from complyq_workers.events.rabbitmq import _Envelope, routing_key


@pytest.fixture(scope="module")
def document() -> Any:
    """The document, as YAML reads it."""
    return yaml.safe_load(contract_files()["asyncapi.yaml"])


def _at(document: Any, reference: str) -> Any:
    """What a reference leads to."""
    file, _, path = reference.partition("#")
    found = json.loads(contract_files()[file.removeprefix("./")]) if file else document
    for name in filter(None, path.split("/")):
        found = found[name]
    return found


def _references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [one for item in part for one in _references(item)]
    if not isinstance(part, dict):
        return []
    return [*([part["$ref"]] if "$ref" in part else []), *_references(list(part.values()))]


def test_all_references_lead_somewhere(document: Any) -> None:
    """Within the document, and to the schemas beside it."""
    found = [_at(document, reference) for reference in _references(document)]
    assert len(found) > len(event_schemas())
    assert all(found)


def test_every_channel_carries_every_event(document: Any) -> None:
    """The name of each message is the event's type, its payload the event's schema."""
    for channel in document["channels"].values():
        messages = [_at(document, message["$ref"]) for message in channel["messages"].values()]
        carried = {message["name"]: _at(document, message["payload"]["$ref"]) for message in messages}
        assert carried == event_schemas()


def test_every_channel_is_published_to(document: Any) -> None:
    """Complyq sends, and receives nothing."""
    operations = document["operations"].values()
    assert {operation["action"] for operation in operations} == {"send"}
    assert {operation["channel"]["$ref"] for operation in operations} == {
        f"#/channels/{name}" for name in document["channels"]
    }


def test_the_servers_are_addressed_as_they_say(document: Any) -> None:
    """Their descriptions name a COMPLYQ_EVENTS_URL that is accepted, and means the channel of that name."""
    said = {name: server["description"].partition("=")[2].split(";")[0] for name, server in document["servers"].items()}
    assert address_of(said["redis"]) == StreamAddress.parse("redis://redis.example.com:6379/0")
    assert address_of(said["sqs"]) == SqsAddress(document["channels"]["sqsQueue"]["address"])
    rabbitmq = address_of(said["rabbitmq"])
    assert isinstance(rabbitmq, ExchangeAddress)
    assert rabbitmq.exchange == document["channels"]["rabbitmqExchange"]["bindings"]["amqp"]["exchange"]["name"]


def test_the_usual_names_are_named(document: Any) -> None:
    """Those that are taken where COMPLYQ_EVENTS_URL names none; SQS tells FIFO queues by their names."""
    channels = document["channels"]
    assert channels["redisStream"]["address"] == DEFAULT_STREAM
    assert channels["rabbitmqExchange"]["bindings"]["amqp"]["exchange"]["name"] == DEFAULT_STREAM
    for name in ("sqsQueue", "sqsFifoQueue"):
        queue = channels[name]["bindings"]["sqs"]["queue"]
        assert queue["name"] == channels[name]["address"]
        assert queue["fifoQueue"] == SqsAddress(queue["name"]).is_fifo


def test_routing_keys_are_those_of_the_channel(document: Any) -> None:
    """Every event of every type has one, and the document lists no other."""
    channel = document["channels"]["rabbitmqExchange"]
    values = {name: parameter["enum"] for name, parameter in channel["parameters"].items()}
    listed = {
        channel["address"].format(type=type_, event=event) for type_, event in product(values["type"], values["event"])
    }
    types = ("tweets", "users")
    made = {routing_key(_envelope(event_type, type_)) for event_type, type_ in product(event_schemas(), types)}
    assert listed == made


def _envelope(event_type: str, type_: str) -> _Envelope:
    return msgspec.convert({"type": event_type, "data": {"type": type_}}, _Envelope)
