"""Features of images: a cache on disk, filled once, and the rules that select images by them."""
