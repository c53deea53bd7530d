"""What `complyq doctor` looks at: one module for each configured part."""
