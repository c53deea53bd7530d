"""Servers and workers that a command starts for itself on one machine, and ends with itself."""
