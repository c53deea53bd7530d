"""Guards of credentials, and of messages that others may have written."""

from __future__ import annotations

from mutants.mutant import CONFIG, WORKERS, Mutant

REDACTION, LOGGING, LETTERS = f"{CONFIG}/redaction.py", f"{CONFIG}/logging.py", f"{WORKERS}/dead_letters.py"
CREATING, UPLOADING = f"{WORKERS}/pipeline/creating.py", f"{WORKERS}/pipeline/uploading.py"
OF_REDACTION, OF_LOGGING, OF_MESSAGES = "unit/test_redaction.py", "unit/test_logging.py", "unit/test_messages.py"
SEALED = "integration/test_guards_of_x.py::test_no_credential_lies_in_the_store"
OF_LETTERS = "unit/test_guards_of_messages.py"

SECRETS = (
    Mutant(
        name="sealed: upload URL",
        protects="no signed URL lies in the store as it is",
        file=CREATING,
        old="ports.sealer.seal(remote.upload_url) if remote.upload_url else None",
        new="remote.upload_url",
        tests=(SEALED,),
    ),
    Mutant(
        name="sealed: download URL",
        protects="no signed URL lies in the store as it is",
        file=CREATING,
        old="ports.sealer.seal(remote.download_url) if remote.download_url else None",
        new="remote.download_url",
        tests=(SEALED,),
    ),
    Mutant(
        name="sealed: session",
        protects="no session URI lies in the store as it is",
        file=UPLOADING,
        old="Session(sealed_uri=run.ports.sealer.seal(session_uri))",
        new="Session(sealed_uri=session_uri)",
        tests=(SEALED,),
    ),
    Mutant(
        name="sealed: whole",
        protects="what is sealed can be read by nobody else",
        file=f"{WORKERS}/sealing.py",
        old="return self._fernet.encrypt(text.encode()).decode()",
        new="return base64.urlsafe_b64encode(text.encode()).decode()",
        tests=(f"{OF_LETTERS}::test_what_is_sealed_is_opened_with_the_same_key_only",),
    ),
    Mutant(
        name="logs: redacted",
        protects="no credential is in a log line",
        file=LOGGING,
        old="            redact_event,  # the last before the text is made, so that nothing is added after it\n",
        new="",
        tests=(f"{OF_LOGGING}::test_exceptions_hold_no_credential",),
    ),
    Mutant(
        name="logs: uncaught exceptions",
        protects="no credential is in what the interpreter prints",
        file=LOGGING,
        old="    sys.excepthook = _log_uncaught\n",
        new="",
        tests=(f"{OF_LOGGING}::test_uncaught_exceptions_are_logged_without_credentials",),
    ),
    Mutant(
        name="logs: lost lines",
        protects="a line that cannot be written is not dumped as it is",
        file=LOGGING,
        old="class _Handler(logging.StreamHandler[TextIO]):\n",
        new="class _Handler(logging.StreamHandler[TextIO]):\n    def __init__(self, stream: TextIO) -> None:\n        super().__init__(stream)\n        self.handleError = super().handleError  # type: ignore[method-assign]\n",
        tests=(f"{OF_LOGGING}::test_line_that_cannot_be_written_is_not_dumped",),
    ),
    Mutant(
        name="logs: queries",
        protects="urllib3 logs no signed URL",
        file=f"{WORKERS}/x/connection.py",
        old="        logger.addFilter(QueryFilter())\n",
        new="        logger.disabled = False\n",
        tests=("unit/test_x_transport.py::test_debug_logs_show_requests_without_queries",),
    ),
    Mutant(
        name="redaction: known secrets",
        protects="a credential that this process holds is taken out wherever it stands",
        file=REDACTION,
        old="        text = _known_pattern.sub(MASK, text)\n",
        new="        text = str(text)\n",
        tests=(f"{OF_REDACTION}::test_registered_secrets_are_removed",),
    ),
    Mutant(
        name="redaction: bearer",
        protects="the bearer is known as a secret",
        file=f"{WORKERS}/x/credentials.py",
        old="    register_secret(secret)\n",
        new="",
        tests=(f"{OF_LETTERS}::test_a_bearer_is_taken_out_of_every_text",),
    ),
    Mutant(
        name="redaction: signed URLs",
        protects="a signed URL loses its query",
        file=REDACTION,
        old='({_NAMES})({_EQUALS}){_REST_OF_URL}"), rf"\\g<1>\\g<2>{MASK}"),',
        new='({_NAMES})({_EQUALS}){_REST_OF_URL}"), r"\\g<0>"),',
        tests=(f"{OF_REDACTION}::test_signed_urls_lose_their_secret",),
    ),
    Mutant(
        name="errors: query of the URL",
        protects="a server that repeats our URL puts no credential into a message",
        file=f"{WORKERS}/x/error_bodies.py",
        old="        text = text.replace(secret, MASK)\n",
        new="        text = str(text)\n",
        tests=("unit/test_x_error_bodies.py::test_credentials_are_taken_out",),
    ),
    Mutant(
        name="errors: of a job",
        protects="what X says of a failed job carries no credential into facts and events",
        file=f"{WORKERS}/x/answers.py",
        old="return redact(text)[:_ERROR_CHARACTERS]",
        new="return redact(text[:0]) or text[:_ERROR_CHARACTERS]",
        tests=("unit/test_x_answers.py::test_an_error_of_a_job_holds_no_credential",),
    ),
    Mutant(
        name="messages: arguments",
        protects="a message names no step that cannot be meant",
        file=f"{WORKERS}/messages.py",
        old="    arguments_of(Hint(headers.task, tuple(arguments)))\n",
        new="    Hint(headers.task, tuple(arguments))\n",
        tests=(f"{OF_MESSAGES}::test_the_fault_says_what_is_wrong",),
    ),
    Mutant(
        name="messages: types",
        protects="two spellings of a plan are not two leases on its step",
        file=f"{WORKERS}/pipeline/arguments.py",
        old="msgspec.convert(hint.args, ARGUMENTS[hint.task])",
        new="msgspec.convert(hint.args, ARGUMENTS[hint.task], strict=False)",
        tests=(f"{OF_MESSAGES}::test_the_fault_says_what_is_wrong",),
    ),
    Mutant(
        name="messages: buried",
        protects="a message that makes no sense ends no worker",
        file=f"{WORKERS}/consumer.py",
        old="            if fault is None:\n",
        new="            if fault is None or message.body:\n",
        tests=(f"{OF_LETTERS}::test_a_message_that_makes_no_sense_is_put_aside_once",),
    ),
    Mutant(
        name="messages: once",
        protects="a message that makes no sense is not delivered again",
        file=f"{WORKERS}/consumer.py",
        old="        message.ack_log_error(log, self.connection_errors)\n",
        new="        log.debug(reason)\n",
        tests=(f"{OF_LETTERS}::test_a_message_that_makes_no_sense_is_put_aside_once",),
    ),
    Mutant(
        name="messages: entries of others",
        protects="an entry that kombu cannot read ends no worker",
        file=f"{WORKERS}/redis_transport.py",
        old="            return queue, readable(queue.decode(), entry)\n",
        new="            return queue, entry or readable(queue.decode(), entry)\n",
        tests=("contract/test_guards_of_messages.py",),
    ),
    Mutant(
        name="dead letters: redacted",
        protects="a dead letter holds no credential",
        file=LETTERS,
        old="    return redact(text[: 2 * MAX_CHARACTERS])[:MAX_CHARACTERS]\n",
        new="    return str(text[: 2 * MAX_CHARACTERS] or redact(text))[:MAX_CHARACTERS]\n",
        tests=(f"{OF_LETTERS}::test_a_dead_letter_holds_no_credential",),
    ),
    Mutant(
        name="dead letters: bounded",
        protects="dead letters do not fill the broker",
        file=LETTERS,
        old="        _drop_oldest(queue(producer.channel))\n",
        new="",
        tests=(f"{OF_LETTERS}::test_of_dead_letters_the_newest_are_kept",),
    ),
)
