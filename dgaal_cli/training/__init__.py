"""Training mechanics: phases, their runner, checkpoints, seeds, devices."""
