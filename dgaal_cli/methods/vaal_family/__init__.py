"""What VAAL and its successors share: the VAE, the game, its phases, the sampler."""
