"""Networks: encoder G1, decoder G2, discriminators D1 and D2, task model T."""
