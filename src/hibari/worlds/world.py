"""A world: an endless, seeded source of scenes over a vocabulary."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hibari.errors import HibariError, InvalidRequest
from hibari.shapes import VideoShape
from hibari.worlds import camera, props
from hibari.worlds.backgrounds import PLACES
from hibari.worlds.casting import cast
from hibari.worlds.grammar import Captioner
from hibari.worlds.looks import Look, draw_look
from hibari.worlds.motions import MOTIONS
from hibari.worlds.pack import FPS, SpritePack
from hibari.worlds.scene import CAPTION_STREAM, LOOK_STREAM, PLAN_STREAM, Labels, Scene
from hibari.worlds.split import is_held_out
from hibari.worlds.vocabulary import STARTER, Vocabulary
from hibari.worlds.weather import WEATHERS

ATTEMPTS = 2000


class World:
    """Scenes of a vocabulary, drawn with the sprites of a pack (the starter pack where none is given)."""

    def __init__(self, pack: SpritePack | None = None, vocabulary: Vocabulary = STARTER) -> None:
        self.pack = pack or SpritePack.load()
        self.vocabulary = vocabulary
        weights = np.array(vocabulary.weights or (1.0,) * len(vocabulary.objects))
        assert len(weights) == len(vocabulary.objects), "one weight for each object"
        self._ladder = np.cumsum(weights) / weights.sum()
        for kind, words, known in (
            ("object", vocabulary.objects, self.pack.looks.keys() | self.pack.entries.keys()),
            ("motion", vocabulary.motions, MOTIONS),
            ("background", vocabulary.backgrounds, PLACES),
            ("camera", vocabulary.cameras, camera.CAMERAS),
            ("weather", vocabulary.weathers, WEATHERS),
        ):
            unknown = [word for word in words if word not in known]
            if unknown:
                raise HibariError(
                    f'No {kind} "{unknown[0]}" in this world.', hint="Build the whole pack, or leave it out."
                )

    def scene(
        self,
        seed: int,
        shape: VideoShape,
        fps: int = FPS,
        *,
        held_out: bool = False,
        telling: int = 0,
        looks: tuple[Look | None, ...] | None = None,
    ) -> Scene:
        """The scene of that seed and shape; `held_out` takes only triples that training never sees, or none of them.

        Another `telling` is another caption of the same scene. `looks` stand in for those that would be drawn.
        In a scene of several things each thing's own triple counts. A single frame shows no motion, so there the rule
        looks at the motion that the thing would have had.
        """
        shape = VideoShape(*shape)
        if shape.frames < 1 or min(shape.height, shape.width) < 32 or max(shape.height, shape.width) > 1024:
            raise InvalidRequest(f"A scene of {shape} cannot be drawn.", option="size", hint="Use sides of 32 to 1024.")
        rng = np.random.default_rng([seed, PLAN_STREAM])
        labels = self._draw(rng, shape.frames, held_out)
        labels = replace(labels, looks=self._looks(seed, labels.objects) if looks is None else looks)
        view = camera.plan(rng, labels.camera, shape)
        actors = cast(rng, self.pack, self.vocabulary, labels, view, fps)
        chance = np.random.default_rng([seed, CAPTION_STREAM, telling])
        tells = (self.vocabulary.tells_gender, self.vocabulary.tells_tone)
        captioner = Captioner(chance, labels, actors.glimpses, tells)
        return Scene(
            seed=seed,
            shape=shape,
            fps=fps,
            labels=labels,
            caption=captioner.moving() if shape.frames > 1 else captioner.picture(),
            camera=view,
            actors=actors.actors,
            props=actors.props,
        )

    def _draw(self, rng: np.random.Generator, frames: int, held_out: bool) -> Labels:
        """Draw what a scene holds."""
        words = self.vocabulary
        number = 1 + int(rng.choice(len(words.counts), p=np.array(words.counts) / sum(words.counts)))
        layout = "single"
        if number > 1:
            meet = frames >= MOTIONS["collides"].min_frames and rng.random() < words.collisions
            layout = "collision" if meet else ("beside", "stacked")[rng.integers(2)]
        moves = rng.random() < words.moving_camera and frames > 1 and bool(words.cameras)
        kind = _pick(rng, words.cameras) if moves else "still"
        motions = ["collides"] if layout == "collision" else self._motions(layout, frames)
        objects: list[str] = []
        chosen: list[str] = []
        background = _pick(rng, words.backgrounds)
        for _ in range(ATTEMPTS):
            thing, motion = self._thing(rng), _pick(rng, motions)
            if thing not in objects and is_held_out(thing, motion, background) == held_out:
                objects.append(thing)
                chosen.append(motion)
            elif not objects:
                background = _pick(rng, words.backgrounds)
            if len(objects) == number:
                break
        else:
            share = "held-out" if held_out else "training"
            raise HibariError(f"This vocabulary has no {share} scene.", hint="Use a larger vocabulary.")
        falls = rng.random() < words.weather and PLACES[background].outdoors and bool(words.weathers)
        weather = _pick(rng, words.weathers) if falls else "clear"
        hider = (_pick(rng, props.PROPS),) if "hides" in chosen else ()
        return Labels(tuple(objects), tuple(chosen), background, kind, weather, layout, hider)

    def _looks(self, seed: int, objects: Sequence[str]) -> tuple[Look | None, ...]:
        """A look for each thing that has several; they depend on the seed and on nothing else of the scene."""
        rng, known = np.random.default_rng([seed, LOOK_STREAM]), self.pack.looks
        return tuple(draw_look(rng, known[name]) if name in known else None for name in objects)

    def _thing(self, rng: np.random.Generator) -> str:
        """A thing, drawn by its weight."""
        return self.vocabulary.objects[int(np.searchsorted(self._ladder, rng.random(), side="right"))]

    def _motions(self, layout: str, frames: int) -> list[str]:
        """The motions that can be seen in so many frames and that keep things in their lanes."""
        able = [name for name in self.vocabulary.motions if MOTIONS[name].min_frames <= frames]
        able = [name for name in able if layout in MOTIONS[name].layouts]
        if not able:
            raise HibariError(f"No motion of this vocabulary fits {frames} frames.", hint='Add "still".')
        return able


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
