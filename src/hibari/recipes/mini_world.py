"""The world that a run of `hibari train mini` learns, as data: which sprites, which words, and samples of it.

Everything here is called by name in fresh processes, which draw the scenes. Run by `recipes.mini`.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from hibari.data.clips import Renderer
from hibari.errors import TrainingError
from hibari.recipes.mini_cache import Sample
from hibari.shapes import VideoShape
from hibari.worlds import words
from hibari.worlds.pack import STARTER_PACK, SpritePack
from hibari.worlds.vocabulary import STARTER, Vocabulary, whole
from hibari.worlds.world import World

# Objects that differ most in colour and outline: what the compute of a CPU learns well.
MINI_WORLD = replace(
    STARTER,
    objects=(
        "octopus", "panda", "rocket", "red heart", "snowman", "pumpkin", "crab", "whale",
        "penguin", "frog", "ghost", "star", "ladybug", "teddy bear", "helicopter", "butterfly",
    ),
    motions=("still", "left", "right", "up", "down", "bounces", "grows"),
    counts=(0.95, 0.05),
)  # fmt: skip
HEARD = 64  # objects whose captions are read for the words of a world; the others' names are added to them
LISTENED = 4000  # captions of clips, and as many of pictures


@dataclass(frozen=True, kw_only=True)
class WorldRecipe:
    """Which world is learned. pack: a folder of sprites ("": the starter pack); vocabulary: "mini" or "whole"."""

    pack: str = ""
    vocabulary: str = "mini"

    def world(self) -> World:
        """The world of clips and captions; raises HibariError where the pack is none or lacks something."""
        pack = SpritePack.load(self.pack or STARTER_PACK)
        return World(pack, self._choose(MINI_WORLD, pack))

    def pixels(self) -> World:
        """The world that the VAE learns from, which may be wider: no words are needed there."""
        pack = SpritePack.load(self.pack or STARTER_PACK)
        return World(pack, self._choose(STARTER, pack))

    def _choose(self, mini: Vocabulary, pack: SpritePack) -> Vocabulary:
        if self.vocabulary not in ("mini", "whole"):
            raise TrainingError(f"world.vocabulary={self.vocabulary}: there is none.", hint="Use mini or whole.")
        return mini if self.vocabulary == "mini" else whole(pack)


def make_renderer(recipe: WorldRecipe, shape: VideoShape, held_out: bool) -> Renderer:
    """A function from a seed to the frames of its scene; called once in each rendering process."""
    return partial(_render, recipe.pixels(), shape, held_out)


def make_sampler(recipe: WorldRecipe, captions: int, held_out: bool) -> Callable[[VideoShape, int], Sample]:
    """A function from shape and seed to a sample of the cache; called once in each rendering process."""
    world = recipe.world()
    if held_out:  # such a scene shows one thing: few places hold out two of them at once
        world = World(world.pack, replace(world.vocabulary, counts=(1.0,)))
    return partial(_sample, world, captions, held_out)


def _render(world: World, shape: VideoShape, held_out: bool, seed: int) -> np.ndarray:
    return world.scene(seed, shape, held_out=held_out).render()


def _sample(world: World, captions: int, held_out: bool, shape: VideoShape, seed: int) -> Sample:
    scene = world.scene(seed, shape, held_out=held_out)
    labels = asdict(scene.labels)
    reference = None
    if shape.frames > 1:
        alone = replace(world.vocabulary, objects=scene.labels.objects[:1], weights=(), counts=(1.0,))
        picture, same = VideoShape(1, shape.height, shape.width), scene.labels.looks[:1]
        reference = World(world.pack, alone).scene(seed + 1, picture, looks=same).render()[0]
    tellings = [world.scene(seed, shape, held_out=held_out, telling=i).caption for i in range(captions)]
    return Sample(scene.render(), reference, tellings, labels)


def world_card(world: World) -> dict[str, list[str]]:
    """What a model of this world can draw, and every word that its captions use (`world.json`)."""
    vocabulary = world.vocabulary
    every = max(1, len(vocabulary.objects) // HEARD)
    some = replace(vocabulary, objects=vocabulary.objects[::every], weights=vocabulary.weights[::every])
    heard, shapes = World(world.pack, some), (VideoShape(21, 112, 192), VideoShape(1, 112, 192))
    said = [heard.scene(seed, shape).caption for shape in shapes for seed in range(LISTENED)]
    for name in vocabulary.objects:
        said += [name, *words.SYNONYMS.get(name, ()), words.COLOURS.get(name, "")]
        said += [noun for nouns in words.GENDERED.get(name, {}).values() for noun in nouns]
    return {
        "objects": list(vocabulary.objects),
        "motions": list(vocabulary.motions),
        "backgrounds": list(vocabulary.backgrounds),
        "words": sorted({word for text in said for word in re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())}),
    }
