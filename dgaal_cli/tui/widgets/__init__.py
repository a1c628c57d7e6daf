"""Widgets of the label terminal; each draws its own rows."""
