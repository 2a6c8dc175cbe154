"""The model: transformer, VAE, text encoder, and their weights in and out of published folders.

What is here knows nothing of noise schedules, data or training; `flow/` and `train/` call it.
"""
