"""A world in one process, drawn from a seed: workers, X, store, Redis, queues and time, with faults at every call.

`world.py` holds the parts together, `shape.py` says what differs between worlds, `equipment.py` is what workers work with,
`gates.py` lets faults strike calls, `x_server.py` is X, `chaos.py` draws a history from a seed, `promises.py` and
`job_promises.py` say whether the promises were kept, and `__main__.py` runs many histories.
"""
