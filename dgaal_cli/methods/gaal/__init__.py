"""GAAL (Zhu & Bento 2017, arXiv 1702.07956): synthetic queries, and its comparators."""
