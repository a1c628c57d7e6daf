"""Parts of the label screen; each has its own state and is independent of keys."""
