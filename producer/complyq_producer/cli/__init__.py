"""The command `complyq`."""
