"""How the next images to label are chosen; one idea per file."""
