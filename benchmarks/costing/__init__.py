"""What batches of some sizes cost, step by step, and what a thousand times as many would need."""
