"""Exported models: reading, running, writing and verifying them."""
