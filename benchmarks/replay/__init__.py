"""Replays arrivals of batches against the workers' steps and the simulator, in virtual time."""
