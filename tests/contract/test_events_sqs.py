"""What is true of SQS alone, on two servers by other people: ministack and moto."""

from contextlib import closing
from uuid import uuid4

import pytest

from complyq_config.errors import ConfigurationError
from complyq_config.settings import load_settings
from complyq_producer.errors import EventsRefusedError
from complyq_producer.listening import SqsAddress
from complyq_workers.events.sqs import SqsEventQueue, deduplication_id, message_text
from support.event_queues import event_body
from support.sqs_server import SqsServer

BODY = event_body("b1/0/0")


@pytest.fixture(params=["ministack_sqs", "moto_sqs"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SqsServer:
    """Each server in turn, with this process's AWS variables pointing to it."""
    found: SqsServer = request.getfixturevalue(request.param)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


def receive(server: SqsServer, url: str) -> list[dict[str, object]]:
    """Take ten messages off a queue, with all that SQS tells of them."""
    with closing(server.client()) as client:
        answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    return list(answer.get("Messages", ()))


def test_a_fifo_queue_has_a_group_for_each_batch_and_knows_copies(server: SqsServer) -> None:
    """The group is the batch, the deduplication id the event's; a copy whose record was lost is dropped by SQS."""
    name = f"{uuid4().hex}.fifo"
    url = server.make_queue(name)
    with closing(SqsEventQueue(SqsAddress(name))) as queue:
        queue.verify()
        queue.send("b1", "b1/0/0", BODY)
        queue.send("b1", "b1/0/0", BODY)
        queue.send("b1@r1", "b1/0/0", BODY)
    told = [message["Attributes"] for message in receive(server, url)]
    names = ("MessageGroupId", "MessageDeduplicationId")
    assert [tuple(attributes[name] for name in names) for attributes in told] == [  # type: ignore[index] # their JSON
        ("b1", "b1/0/0"),
        ("b1", "b1/0/0@r1"),
    ]


def test_a_queue_of_another_account_is_found(server: SqsServer) -> None:
    """The account stands before the queue's name."""
    name = uuid4().hex
    url = server.make_queue(name)
    account = url.rsplit("/", 2)[1]
    with closing(SqsEventQueue(SqsAddress.parse(f"sqs://{account}/{name}"))) as queue:
        queue.send("b1", "b1/0/0", BODY)
    assert [message["Body"] for message in receive(server, url)] == [BODY.decode()]


def test_a_queue_that_is_too_narrow_is_found_before_the_first_event(server: SqsServer) -> None:
    """A limit below the longest event would hold back some of them for ever."""
    name = uuid4().hex
    server.make_queue(name, MaximumMessageSize="199999")
    with (
        closing(SqsEventQueue(SqsAddress(name))) as queue,
        pytest.raises(EventsRefusedError, match="MaximumMessageSize"),
    ):
        queue.verify()


def test_a_queue_that_does_not_exist_is_told(server: SqsServer) -> None:
    """The error names the queue and the way out."""
    name = uuid4().hex
    with closing(SqsEventQueue(SqsAddress(name))) as queue:
        for call in (queue.verify, queue.backlog, lambda: queue.send("b1", "b1/0/0", BODY)):
            with pytest.raises(EventsRefusedError, match=f"{name}.*COMPLYQ_EVENTS_URL.*create the queue"):
                call()


def test_missing_credentials_and_region_are_told(server: SqsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says which variables to set."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(EventsRefusedError, match="AWS_ACCESS_KEY_ID"):
        SqsEventQueue(SqsAddress("q")).verify()
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(EventsRefusedError, match="AWS_DEFAULT_REGION"):
        SqsEventQueue(SqsAddress("q")).verify()


def test_the_backlog_counts_what_listeners_have_in_their_hands(server: SqsServer) -> None:
    """Until a message is deleted it is not handled."""
    name = uuid4().hex
    url = server.make_queue(name)
    with closing(SqsEventQueue(SqsAddress(name))) as queue:
        for number in range(3):
            queue.send("b1", f"b1/0/{number}", BODY)
        receive(server, url)
        assert queue.backlog() == 3


def test_ids_that_sqs_does_not_take_are_hashed() -> None:
    """An id as ours are is taken as it is; a longer or stranger one by its hash, always the same."""
    event_id = "01a2020b-307c-7308-87ab-3698acdad194/12/345"
    assert deduplication_id(event_id) == event_id
    for strange in ("x" * 129, "a b", "ü"):
        assert len(deduplication_id(strange)) == 64
        assert deduplication_id(strange) == deduplication_id(strange)


def test_only_what_sqs_refuses_is_written_in_another_way() -> None:
    """JSON says the same of it."""
    assert message_text('{"a":"é\ufffd"}'.encode()) == '{"a":"é\ufffd"}'
    assert message_text('{"a":"\ufffe\uffff"}'.encode()) == '{"a":"\\ufffe\\uffff"}'


def test_addresses_are_read_and_wrong_ones_refused() -> None:
    """A queue is a name, with its account where that is another; anything else is a wrong setting."""
    assert SqsAddress.parse("sqs://Events_1.fifo") == SqsAddress("Events_1.fifo")
    assert SqsAddress.parse("sqs://123456789012/events") == SqsAddress("events", "123456789012")
    assert [SqsAddress(name).is_fifo for name in ("a.fifo", "a")] == [True, False]
    for wrong in ("sqs://a.b", "sqs://key:secret@queue", "sqs://queue?region=x", "sqs://1/queue", f"sqs://{'x' * 81}"):
        with pytest.raises(ConfigurationError, match="COMPLYQ_EVENTS_URL") as caught:
            SqsAddress.parse(load_settings(events_url=wrong).effective_events_url.get_secret_value())
        assert "secret" not in str(caught.value)
