"""Oracles that answer from known labels."""
