"""A world: an endless, seeded source of scenes over a vocabulary."""

import numpy as np

from hibari.errors import InvalidRequest
from hibari.shapes import VideoShape
from hibari.worlds import grammar
from hibari.worlds.motions import MOTIONS, Body, Stage
from hibari.worlds.naming import FACING
from hibari.worlds.pack import CELL, FPS, Sprite, SpritePack
from hibari.worlds.scene import Actor, Labels, Scene
from hibari.worlds.split import is_held_out
from hibari.worlds.vocabulary import STARTER, Vocabulary


class World:
    """Scenes of a vocabulary, drawn with the sprites of a pack (the starter pack where none is given)."""

    def __init__(self, pack: SpritePack | None = None, vocabulary: Vocabulary = STARTER) -> None:
        self.pack = pack or SpritePack.load()
        self.vocabulary = vocabulary

    def scene(self, seed: int, shape: VideoShape, fps: int = FPS, *, held_out: bool = False) -> Scene:
        """The scene of that seed and shape; `held_out` takes only triples that training never sees, or none of them."""
        shape = VideoShape(*shape)
        if shape.frames < 1 or min(shape.height, shape.width) < 16:
            raise InvalidRequest(f"A scene of {shape} cannot be drawn.", option="size")
        rng = np.random.default_rng([seed, 0])
        labels = self._draw(rng, shape.frames, held_out)
        actors = self._cast(rng, labels, shape, fps)
        details = tuple(actor.track.detail for actor in actors)
        caption = grammar.caption(rng, labels, details, moving=shape.frames > 1)
        return Scene(seed=seed, shape=shape, fps=fps, labels=labels, caption=caption, actors=actors)

    def _draw(self, rng: np.random.Generator, frames: int, held_out: bool) -> Labels:
        words = self.vocabulary
        count = 1 + int(rng.choice(len(words.counts), p=np.array(words.counts) / sum(words.counts)))
        motions = [motion for motion in words.motions if MOTIONS[motion].min_frames <= frames]
        while True:
            background = str(rng.choice(words.backgrounds))
            objects = tuple(str(name) for name in rng.choice(words.objects, count, replace=False))
            chosen = tuple(str(name) for name in rng.choice(motions, count))
            if all(is_held_out(o, m, background) == held_out for o, m in zip(objects, chosen, strict=True)):
                return Labels(objects, chosen, background)

    def _cast(self, rng: np.random.Generator, labels: Labels, shape: VideoShape, fps: int) -> tuple[Actor, ...]:
        actors = []
        number = len(labels.objects)
        side = min(shape.height, shape.width)
        for index, (name, motion) in enumerate(zip(labels.objects, labels.motions, strict=True)):
            low, high = index / number * shape.width, (index + 1) / number * shape.width
            stage = Stage(frames=shape.frames, fps=fps, left=low, top=0, right=high, bottom=shape.height)
            sprite = self.pack.sprite(name)
            width, height = sprite.size
            size = rng.uniform(*self.vocabulary.sizes) * side * (1.0 if number == 1 else 0.75)
            track = MOTIONS[motion].plan(rng, stage, Body(width / CELL / 2, height / CELL / 2, size))
            mirrored = {"left": "right", "right": "left"}.get(FACING.get(name, "")) == track.detail.split(" ")[-1]
            actors.append(Actor(sprite, track, self._poses(rng, sprite, shape.frames, fps), mirrored))
        return tuple(actors)

    def _poses(self, rng: np.random.Generator, sprite: Sprite, frames: int, fps: int) -> np.ndarray:
        """Which frame of the sprite's own animation shows when: its natural speed, or one pose throughout."""
        start = rng.integers(sprite.num_frames)
        step = 0 if rng.random() < self.vocabulary.frozen else FPS / fps
        return (start + np.floor(np.arange(frames) * step + 1e-9).astype(int)) % sprite.num_frames
