"""What a worker imports: loaded once by a server of forks, so that a worker is up in a fraction of a second.

Only that server loads this module: it sets what must be set before Celery is imported. `pytest` is the main module of
the tests, which multiprocessing imports in each child.
"""

import gc
import os
from importlib import import_module

os.environ["REMAP_SIGTERM"] = "SIGQUIT"

for name in (
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "complyq_workers.bootsteps",
    "complyq_workers.command",
    "complyq_workers.tasks",
    "complyq_workers.wiring",
    "kombu.transport.redis",
    "pytest",
):
    import_module(name)

gc.freeze()  # what a child's collector touched would be copied there
