"""What the labels of a workspace mean, one folder a task; ``registry`` lists them."""
