"""Task models on features, without torch: the neighbor graph of a pool, and linear heads."""
