"""What the producer's library raises.

ComplyqError
├── InputError                  the caller's input is wrong; nothing was enqueued, nothing is left behind
│   ├── UnknownTypeError        a type that is neither "tweets" nor "users"
│   ├── InvalidArgumentError    another argument is wrong (key, name, labels, priority, deadline, …)
│   ├── InvalidIdsError         IDs that are not decimal, zero, or beyond 64 bits
│   ├── EmptyBatchError         no ID at all
│   ├── UnreadableInputError    a file that cannot be opened or read
│   │   └── TruncatedInputError a gzip file that ends early
│   └── KeyConflictError        the idempotency key was used for another type or other IDs
├── StagingExpiredError         staging took longer than a day and was refused
├── BatchNotFoundError          no such batch or key
├── BatchNotFinishedError       results asked for before the end
├── BatchFailedError            results asked for of a batch that failed or was cancelled
├── BatchPurgedError            results or events asked for of a batch whose IDs and results were removed
├── NothingParkedError          release asked for where nothing is parked
├── StoreError                  the object store
│   ├── ObjectNotFoundError     no object under that key
│   ├── StoreUnavailableError   it does not answer, or refuses; try again later
│   └── UnfitStoreError         it does not honour conditional writes, so it cannot hold facts
├── UnknownSchemaError          a fact written by a newer version
├── QueueUnavailableError       the broker does not answer; what was enqueued starts later
│   └── QueueRefusedError       it refuses our queues, and waiting does not help: somebody must change something
└── EventsError                 the results queue does not answer, or refuses
    └── EventsRefusedError      it refuses us, and waiting does not help: somebody must change something
"""

from complyq_config.errors import ComplyqError


class InputError(ComplyqError):
    """The caller's input is wrong. Nothing was enqueued and nothing is left behind."""


class UnknownTypeError(InputError):
    """A type that is neither "tweets" nor "users"."""


class InvalidArgumentError(InputError):
    """An argument other than the IDs is wrong."""


class InvalidIdsError(InputError):
    """Some IDs are not decimal, zero, or beyond 64 bits; the message names the first bad lines."""


class EmptyBatchError(InputError):
    """The input holds no ID at all."""


class UnreadableInputError(InputError):
    """The input cannot be opened or read."""


class TruncatedInputError(UnreadableInputError):
    """A gzip input ends early, so IDs may be missing."""


class KeyConflictError(InputError):
    """The idempotency key was used before for another type or other IDs."""


class StagingExpiredError(ComplyqError):
    """Staging this batch took longer than a day, so it was not accepted; enqueue it again."""


class BatchNotFoundError(ComplyqError):
    """No batch has this id, or was submitted under this key."""


class BatchNotFinishedError(ComplyqError):
    """The batch has not ended yet, so its results are not complete."""


class BatchFailedError(ComplyqError):
    """The batch failed or was cancelled, so there is no complete set of results."""


class BatchPurgedError(ComplyqError):
    """The IDs and results of the batch were removed, as it ended long ago. What was counted stays."""


class NothingParkedError(ComplyqError):
    """Nothing of the batch is parked, so there is nothing to release."""


class StoreError(ComplyqError):
    """The object store could not do what was asked."""


class ObjectNotFoundError(StoreError):
    """There is no object under this key."""


class StoreUnavailableError(StoreError):
    """The object store does not answer, or refuses; trying again later may help."""


class UnfitStoreError(StoreError):
    """The object store does not honour conditional writes, so facts kept there could be overwritten."""


class UnknownSchemaError(ComplyqError):
    """A fact was written by a newer version of Complyq; upgrade this process."""


class QueueUnavailableError(ComplyqError):
    """The broker cannot be reached. Nothing is lost: workers find the work by themselves."""


class QueueRefusedError(QueueUnavailableError):
    """The broker refuses our queues, and waiting does not help: a permission, or a queue made with other settings."""


class EventsError(ComplyqError):
    """The results queue does not answer, or refuses."""


class EventsRefusedError(EventsError):
    """The results queue refuses us, and waiting does not help: a password, a permission, a name is wrong."""
