"""Weights in and out of published (diffusers) folders: config.json and safetensors, strict both ways.

A folder that does not fit its config.json to the last key and shape is refused; pickles always are.
"""

from hibari.model.weights.dit import load_dit, save_dit
from hibari.model.weights.vae import load_vae, save_vae

__all__ = ["load_dit", "load_vae", "save_dit", "save_vae"]
