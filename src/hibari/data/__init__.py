"""Training data: clips rendered or read, turned once into latents and text states, and drawn in packs."""
