"""Which models there are, what each can do, and whether its files are whole. No torch here.

A model is a diffusers folder. It is found as an installed weights distribution (entry point group
`hibari.weights`, a function that says where the folder is), as a folder under HIBARI_HOME/models, or by its path.
"""

from hibari.catalog.card import BETWEEN, Card, Fast, Rolling
from hibari.catalog.find import check_model_licence, check_names, find, look, names
from hibari.catalog.folder import Model, open_folder
from hibari.catalog.form import SETTINGS, Form
from hibari.catalog.loras import Lora, LoraLayer, check_lora_names, fast_lora, find_loras, is_fast, lora_names
from hibari.catalog.unpulled import unpulled
from hibari.catalog.world import World

__all__ = [
    "BETWEEN",
    "SETTINGS",
    "Card",
    "Fast",
    "Form",
    "Lora",
    "LoraLayer",
    "Model",
    "Rolling",
    "World",
    "check_lora_names",
    "check_model_licence",
    "check_names",
    "fast_lora",
    "find",
    "find_loras",
    "is_fast",
    "look",
    "lora_names",
    "names",
    "open_folder",
    "unpulled",
]
