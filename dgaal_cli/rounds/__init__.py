"""The active-learning round: its data, its training, its query, and its files."""
