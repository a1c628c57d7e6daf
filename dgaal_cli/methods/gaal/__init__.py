"""GAAL (Zhu & Bento 2017, arXiv 1702.07956): queries drawn by a generator, and its comparators."""
