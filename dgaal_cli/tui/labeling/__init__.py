"""The parts of the label screen: each keeps its own state, and none knows the screen's keys."""
