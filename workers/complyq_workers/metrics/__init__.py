"""Metrics for Prometheus: what Redis tells of the workers, read anew at each scrape.

Nothing is kept in a process, so that it does not matter how many workers run and which one is asked. They are served
by a process of their own: a thread in a parent that forks could leave its children a lock that nobody opens.
"""

from complyq_workers.metrics.collector import Metrics
from complyq_workers.metrics.serving import prove_port, serve

__all__ = ["Metrics", "prove_port", "serve"]
