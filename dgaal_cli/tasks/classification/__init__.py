"""Classification: each image has one class."""
