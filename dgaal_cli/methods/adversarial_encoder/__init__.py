"""DGAAL's adversarial encoder and its games, shared with methods that need features of the pool."""
