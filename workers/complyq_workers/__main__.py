"""`python -m complyq_workers` is `complyq worker`."""

from complyq_workers.command import main

if __name__ == "__main__":
    main()
