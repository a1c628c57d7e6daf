"""Simulations: active learning with oracles that know the labels; trials, grids, statistics."""
