"""The widgets of the label terminal; each paints its rows itself."""
