"""Active learning with oracles that answer from known labels: trials, grids of them, statistics."""
