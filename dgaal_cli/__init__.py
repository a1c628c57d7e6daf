"""Adversarial active learning for images, from the terminal."""

__version__ = "0.1.0"
