"""The prompts that a model is measured with: held-out triples, each pair of which it may have seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hibari.shapes import VideoShape
from hibari.worlds import Scene, Vocabulary, World

RENDERED = VideoShape(21, 112, 192)  # 4n+1 frames at the default render size
JUDGED = 18  # of them: 1.5 seconds at 12 frames a second


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A sentence and what it asks for. `seed` is the scene's and starts the model's noise too."""

    seed: int
    text: str
    object: str
    motion: str
    background: str


def plain(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary with one thing in each scene, a still camera and clear weather: what the judges can be sure of."""
    motions = tuple(motion for motion in vocabulary.motions if motion != "collides")
    return replace(vocabulary, motions=motions, counts=(1.0,), cameras=(), weathers=(), moving_camera=0.0, weather=0.0)


def plain_world(world: World) -> World:
    """The same world in plain scenes."""
    return World(world.pack, plain(world.vocabulary))


def held_out_scenes(world: World, count: int, shape: VideoShape = RENDERED, first: int = 0) -> list[Scene]:
    """Scenes with held-out triples, seeds in order from `first`; `world` is a plain one."""
    return [world.scene(seed, shape, held_out=True) for seed in range(first, first + count)]


def prompts_of(scenes: Sequence[Scene]) -> list[Prompt]:
    """The captions of plain scenes, and what each asks for."""
    return [
        Prompt(
            seed=scene.seed,
            text=scene.caption,
            object=scene.labels.objects[0],
            motion=scene.labels.motions[0],
            background=scene.labels.background,
        )
        for scene in scenes
    ]
