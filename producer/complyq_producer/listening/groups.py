"""The names of groups of listeners, as the queues know them."""

from complyq_config.settings import Settings

DEFAULT_GROUP = "complyq"
LOOKING_GROUP = "complyq-cli"
"""The group of `complyq listen` where none is named. Looking at events holds nobody up, so it does not count."""
_DEFAULT_NAMESPACE = Settings.model_fields["namespace"].default


def group_name(group: str, namespace: str) -> str:
    """Name a group on a queue that several installations may share.

    Each has groups of its own there: a listener passes over the events of others, which then must still be there for
    the listeners of those.
    """
    return group if namespace == _DEFAULT_NAMESPACE else f"{group}@{namespace}"


def only_looks(name: str) -> bool:
    """Whether a group, named as `group_name` does, is that of people who look."""
    return name.partition("@")[0] == LOOKING_GROUP
