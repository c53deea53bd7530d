"""Enqueue batches of Post or user IDs for compliance checks, follow them, and listen for their results."""
