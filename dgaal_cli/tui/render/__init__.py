"""Convert pixels to terminal cells."""
