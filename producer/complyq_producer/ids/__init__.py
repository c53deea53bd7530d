"""Reads, checks, sorts and deduplicates IDs in bounded memory."""

from complyq_producer.ids.ingesting import IdSource, IngestedIds, ingest
from complyq_producer.ids.parts import IdPart

__all__ = ["IdPart", "IdSource", "IngestedIds", "ingest"]
