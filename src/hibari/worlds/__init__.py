"""Worlds: an endless, seeded source of captioned clips with ground truth, drawn from animated sprites.

Not here: reading real videos (data) and learning from either (train).
"""

from hibari.worlds.pack import SpritePack
from hibari.worlds.scene import Labels, Scene, Truth
from hibari.worlds.vocabulary import STARTER, Vocabulary, whole
from hibari.worlds.world import World

__all__ = ["STARTER", "Labels", "Scene", "SpritePack", "Truth", "Vocabulary", "World", "whole"]
