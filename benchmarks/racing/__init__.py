"""Competitors that take the same IDs through a simulated X, each in processes of its own, and what measures them."""
