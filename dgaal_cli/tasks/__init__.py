"""Tasks: what labels mean, one folder per task; ``registry`` lists them."""
