"""Shared by VAAL and its successors: the VAE, the game, its phases, the sampler."""
