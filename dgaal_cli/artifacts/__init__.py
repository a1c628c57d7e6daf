"""Read, run, write and verify exported models."""
