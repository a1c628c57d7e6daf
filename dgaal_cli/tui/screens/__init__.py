"""Screens and dialogs of the label terminal."""
