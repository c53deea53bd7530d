"""Guards of what is shown: counts that cost nothing, signs of life, and traces that tell no secret."""

from __future__ import annotations

from mutants.mutant import PRODUCER, WORKERS, Mutant

REDIS, SIGNS, EXAMINATION, TRACING = (
    f"{WORKERS}/coordination/redis_server.py",
    f"{WORKERS}/vital_signs.py",
    f"{WORKERS}/self_examination.py",
    f"{PRODUCER}/tracing.py",
)
OF_HEALTH, OF_TRACING, OF_METRICS = "unit/test_health.py", "unit/test_tracing.py", "unit/test_metrics.py"

OBSERVING = (
    Mutant(
        name="counts: no obstacle",
        protects="a step whose counts cannot be told still gives its lease back",
        file=REDIS,
        old="redis.pcall('HINCRBY'",
        new="redis.call('HINCRBY'",
        tests=("contract/test_coordination_shown.py::test_counting_keeps_no_step_from_ending",),
    ),
    Mutant(
        name="counts: kept",
        protects="counts that could not be told are told the next time",
        file=REDIS,
        old="            self._tally.give_back(counts)\n",
        new="",
        tests=("contract/test_coordination_lost.py::test_metrics_count_at_least_once_when_the_answer_was_lost",),
    ),
    Mutant(
        name="unsettled: not looked at",
        protects="a parked batch stays shown until a sweep has looked at it again",
        file=f"{WORKERS}/pipeline/unsettled.py",
        old="if batch.batch_id in open_ones]",
        new="if not open_ones]",
        tests=(f"{OF_METRICS}::test_what_a_sweep_did_not_look_at_stays_shown",),
    ),
    Mutant(
        name="life: silence",
        protects="a worker that hangs is started anew",
        file=SIGNS,
        old="    if silence > patience:\n",
        new="    if silence < 0:\n",
        tests=(f"{OF_HEALTH}::test_a_worker_that_is_silent_is_found_out",),
    ),
    Mutant(
        name="life: main process",
        protects="a worker that was killed is found out at once",
        file=SIGNS,
        old="    if not _exists(signs.pid):\n",
        new="    if signs.pid < 0:\n",
        tests=(f"{OF_HEALTH}::test_a_worker_that_ails_is_found_out",),
    ),
    Mutant(
        name="life: messages",
        protects="a worker that hears its broker no more is started anew, a busy one is not",
        file=EXAMINATION,
        old="is_free and taken == self._consumer.taken",
        new="is_free",
        tests=(f"{OF_HEALTH}::test_messages_that_wait_for_a_free_process_are_seen",),
    ),
    Mutant(
        name="life: a Redis that is away",
        protects="a worker's main loop does not wait for Redis again and again",
        file=EXAMINATION,
        old="            self._rest_until = time.monotonic() + REST_SECONDS\n",
        new="",
        tests=(f"{OF_HEALTH}::test_a_redis_that_does_not_answer_is_left_alone_for_a_while",),
    ),
    Mutant(
        name="traces: text of errors",
        protects="a trace holds nothing of what an error says",
        file=TRACING,
        old="type(error).__name__))",
        new="str(error)))",
        tests=(f"{OF_TRACING}::test_a_failure_is_told_by_its_kind_alone",),
    ),
    Mutant(
        name="traces: nobody traces",
        protects="who does not trace pays nothing for it",
        file=TRACING,
        old="    if not is_wanted() or os.getpid() in _providers:\n",
        new="    if os.getpid() in _providers:\n",
        tests=(f"{OF_TRACING}::test_who_does_not_trace_imports_nothing_for_it",),
    ),
)
