"""Guards of the end of a batch and of its events: one end, every event at least once, with one content."""

from __future__ import annotations

from mutants.mutant import PRODUCER, WORKERS, Mutant

PUBLISHING, STREAM = f"{WORKERS}/pipeline/publishing.py", f"{WORKERS}/events/redis_stream.py"
BUILDERS, LISTENING = f"{WORKERS}/events/builders.py", f"{PRODUCER}/listening.py"
QUEUE, OF_EVENTS, LISTENERS = "contract/test_events_queue.py", "contract/test_events.py", "integration/test_listen.py"
GUARDS, LISTENING_TOGETHER = "integration/test_guards_of_events.py", "contract/test_guards_of_listening.py"

EVENTS = (
    Mutant(
        name="publish: all known",
        protects="the end names no results that its publisher has not published",
        file=PUBLISHING,
        old="    if outcome and not _all_known(view, outcome):\n",
        new="    if outcome and not outcome.data:\n",
        tests=(f"{GUARDS}::test_an_end_that_somebody_better_informed_decided_is_read_again",),
    ),
    Mutant(
        name="publish: one end",
        protects="whoever decides second publishes the end that stands",
        file=PUBLISHING,
        old="    outcome, ours = ports.facts.create(view.keys.outcome, fact)\n",
        new="    outcome, ours = fact, ports.facts.create(view.keys.outcome, fact)[1]\n",
        tests=(f"{GUARDS}::test_of_two_ends_the_one_that_stands_is_published",),
    ),
    Mutant(
        name="publish: done before open",
        protects="a batch that ended is found somewhere, whoever died",
        file=PUBLISHING,
        old='    ports.store.create(layout.done_marker(view.record.batch_id, ended_at), b"")\n    ports.store.delete(view.keys.open_marker(view.record.type))\n',
        new='    ports.store.delete(view.keys.open_marker(view.record.type))\n    ports.store.create(layout.done_marker(view.record.batch_id, ended_at), b"")\n',
        tests=(f"{GUARDS}::test_a_publisher_may_die_at_each_thing_it_does",),
    ),
    Mutant(
        name="publish: event before its fact",
        protects="no event is called published that is not on the queue",
        file=PUBLISHING,
        old="    _publish(ports, end_event(ports.limits.namespace, outcome.state, outcome.data))\n    ports.facts.create(view.keys.published, Published(messages=messages))\n",
        new="    ports.facts.create(view.keys.published, Published(messages=messages))\n    _publish(ports, end_event(ports.limits.namespace, outcome.state, outcome.data))\n",
        tests=(f"{GUARDS}::test_a_publisher_may_die_at_each_thing_it_does",),
    ),
    Mutant(
        name="publish: marker of a published batch",
        protects="a batch whose publisher died at the very end is closed",
        file=PUBLISHING,
        old="        _close(ports, view)\n        return done()\n",
        new="        return done()\n",
        tests=(f"{GUARDS}::test_a_publisher_may_die_at_each_thing_it_does",),
    ),
    Mutant(
        name="publish: time of an event",
        protects="copies of an event say the same",
        file=PUBLISHING,
        old="            time=part.checked_at,\n",
        new="            time=ports.clock.now(),\n",
        tests=(f"{GUARDS}::test_copies_of_an_event_say_the_same",),
    ),
    Mutant(
        name="publish: lease",
        protects="a publisher that was replaced or shuts down stops",
        file=PUBLISHING,
        old="        lease.check()\n        event =",
        new="        event =",
        tests=(f"{GUARDS}::test_publishing_stops_when_its_worker_shuts_down",),
    ),
    Mutant(
        name="publish: parked",
        protects="a batch whose publishing kills its workers is left alone",
        file=PUBLISHING,
        old="    if view.parked_publishing(ports.clock.now()):\n        return done()\n",
        new="",
        tests=("integration/test_guards_of_parking.py::test_publishing_that_kills_its_workers_is_parked",),
    ),
    Mutant(
        name="events: published once",
        protects="an event that was published is not put on the queue again",
        file=STREAM,
        old="if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end\n",
        new="",
        tests=(f"{QUEUE}::test_event_is_published_once",),
    ),
    Mutant(
        name="events: publish before remembering",
        protects="an event that could not be put on the queue is not called published",
        file=STREAM,
        old="redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])\nredis.call('HSET', KEYS[1], ARGV[1], '1')\n",
        new="redis.call('HSET', KEYS[1], ARGV[1], '1')\nredis.call('XADD', KEYS[2], '*', 'event', ARGV[2])\n",
        tests=("contract/test_guards_of_events.py::test_an_event_that_was_refused_is_published_later",),
    ),
    Mutant(
        name="events: remembering ends",
        protects="what is remembered of events does not fill Redis",
        file=STREAM,
        old="redis.call('EXPIRE', KEYS[1], ARGV[3])\n",
        new="",
        tests=(
            f"{QUEUE}::test_what_was_published_is_remembered_from_the_last_event_on",
            "contract/test_guards_of_events.py",
        ),
    ),
    Mutant(
        name="events: sums",
        protects="no end says that an ID was checked when it was not",
        file=BUILDERS,
        old="if tally.submitted != submitted or tally.unique != unique or min(counts) < 0:",
        new="if tally.submitted != submitted or min(counts) < 0:",
        tests=(f"{OF_EVENTS}::test_numbers_that_do_not_add_up_are_refused",),
    ),
    Mutant(
        name="events: nothing unchecked",
        protects="no batch is called completed with unchecked IDs",
        file=BUILDERS,
        old='    if state == "completed" and tally.unchecked:\n',
        new='    if state == "failed" and tally.unchecked < 0:\n',
        tests=(f"{OF_EVENTS}::test_numbers_that_do_not_add_up_are_refused",),
    ),
    Mutant(
        name="events: size",
        protects="no event is longer than promised",
        file=BUILDERS,
        old="    if len(body) > MAX_EVENT_BYTES:\n",
        new="    if not body:\n",
        tests=(f"{OF_EVENTS}::test_no_event_is_longer_than_promised",),
    ),
    Mutant(
        name="listen: acknowledged afterwards",
        protects="a listener that dies leaves its event to the others",
        file=LISTENING,
        old="            if event and event.source == source and event.id not in handled:\n                yield event\n",
        new="            reader.acknowledge(entry_id)\n            if event and event.source == source and event.id not in handled:\n                yield event\n",
        tests=(LISTENERS,),
    ),
    Mutant(
        name="listen: copies",
        protects="a copy that comes soon is left out",
        file=LISTENING,
        old="event.source == source and event.id not in handled:",
        new="event.source == source:",
        tests=(LISTENERS,),
    ),
    Mutant(
        name="listen: own events first",
        protects="what a listener had in hand when it died comes back to it",
        file=LISTENING,
        old="return self._read_own() or self._claim() or self._read_new()",
        new="return self._claim() or self._read_new()",
        tests=(f"{LISTENING_TOGETHER}::test_a_listener_that_comes_back_gets_what_it_had_in_hand",),
    ),
    Mutant(
        name="listen: events of the dead",
        protects="what a listener had in hand when it died comes to another",
        file=LISTENING,
        old="return self._read_own() or self._claim() or self._read_new()",
        new="return self._read_own() or self._read_new()",
        tests=(f"{LISTENING_TOGETHER}::test_another_listener_gets_what_one_had_in_hand_for_too_long",),
    ),
    Mutant(
        name="listen: pending events",
        protects="a listener that leaves takes no unfinished event with it",
        file=LISTENING,
        old="if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end\n",
        new="",
        tests=(f"{LISTENING_TOGETHER}::test_a_listener_that_leaves_takes_nothing_with_it",),
    ),
)
