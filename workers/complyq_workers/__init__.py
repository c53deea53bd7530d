"""The service: Celery workers that run batches through X's batch compliance API."""
