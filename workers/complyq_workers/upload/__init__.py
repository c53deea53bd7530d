"""Getting the IDs to X: which of the two contracts applies, the resumable protocol, and the thin shell that sends."""
