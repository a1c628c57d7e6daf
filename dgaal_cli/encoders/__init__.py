"""What turns images into the features that task models and query rules see."""
