"""WAAL (Shui, Zhou, Gagné & Wang 2020): Wasserstein adversarial active learning."""
