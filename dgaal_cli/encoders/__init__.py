"""Encoders: images to the features that task models and query rules use."""
