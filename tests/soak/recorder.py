"""A listener that writes down every copy it gets. Run with a file's path; killed and started again it goes on."""

import os
import sys

import msgspec

from complyq_config.settings import load_settings
from complyq_producer import listen


def main() -> None:
    """Record for ever."""
    file = os.open(sys.argv[1], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(file, b"\n")  # what the last one may have left unfinished ends here
    for event in listen(settings=load_settings(), group="soak", consumer="recorder", block_seconds=1):
        os.write(file, msgspec.json.encode(event) + b"\n")


if __name__ == "__main__":
    main()
