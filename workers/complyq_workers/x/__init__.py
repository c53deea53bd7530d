"""X's side of the wire: where requests may go, what they carry, and what the answers say. No Celery, no Redis."""
