"""Turning pixels into terminal cells."""
