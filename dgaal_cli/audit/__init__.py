"""A stratified audit of a pool: which images to draw, and what their labels say of its accuracy."""
