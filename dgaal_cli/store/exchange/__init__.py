"""Labels out of the store and into it, one file a format; ``registry`` lists them."""
