"""From labels to actors: how large things are, where each one plays, and which way it faces."""

from dataclasses import dataclass, replace

import numpy as np

from hibari.worlds import collisions, props
from hibari.worlds.camera import Camera
from hibari.worlds.grammar import Glimpse
from hibari.worlds.motions import MOTIONS, Body, Stage, Track, track
from hibari.worlds.naming import FACING
from hibari.worlds.pack import CELL, FPS, Sprite, SpritePack
from hibari.worlds.scene import Actor, Labels
from hibari.worlds.vocabulary import Vocabulary
from hibari.worlds.words import SPOTS

CROWDED = {1: 1.0, 2: 0.8, 3: 0.62}  # several things are smaller, so that they fit
BIG, SMALL = 0.5, 0.4  # sizes, as shares of the frame's shorter side, that deserve the adjective
FAST, SLOW = 0.7, 0.3  # speeds, as shares of the shorter side per second, that deserve the adverb


@dataclass(frozen=True)
class Cast:
    """The actors of a scene and what hides them, as the camera sees them, and what a caption may say of each."""

    actors: tuple[Actor, ...]
    props: tuple[Actor, ...]
    glimpses: tuple[Glimpse, ...]


def cast(
    rng: np.random.Generator, pack: SpritePack, vocabulary: Vocabulary, labels: Labels, camera: Camera, fps: int
) -> Cast:
    """Plan every thing of a scene."""
    stage, number = camera.stage(fps), len(labels.objects)
    side = min(stage.width, stage.height)
    sprites = [pack.sprite(name) for name in labels.sprites]
    bodies = [
        Body(w / CELL / 2, h / CELL / 2, rng.uniform(*vocabulary.sizes) * side * CROWDED[number])
        for w, h in (sprite.size for sprite in sprites)
    ]
    hiders: list[tuple[Sprite, Track]] = []
    if labels.layout == "collision":
        tracks = collisions.plan(rng, stage, bodies)
    elif labels.motions == ("hides",):
        way, hider = _hide(rng, stage, bodies[0], labels.props[0])
        tracks, hiders = [way], [hider]
    else:
        lanes = [_lane(stage, labels.layout, index, number) for index in range(number)]
        tracks = []
        for motion, lane, body in zip(labels.motions, lanes, bodies, strict=True):
            plan = MOTIONS[motion].plan
            assert plan is not None, motion
            tracks.append(plan(rng, lane, _fit(body, lane)))
    actors = []
    for sprite, way in zip(sprites, tracks, strict=True):
        seen = replace(camera.view(way), mirrored=_mirrored(sprite.name, way))
        actors.append(Actor(sprite, seen, _poses(rng, sprite, stage, vocabulary.frozen)))
    screens = tuple(Actor(s, camera.view(way), np.zeros(stage.frames, int)) for s, way in hiders)
    glimpses = tuple(_glimpse(way, motion, stage, number) for way, motion in zip(tracks, labels.motions, strict=True))
    return Cast(tuple(actors), screens, glimpses)


def _lane(stage: Stage, layout: str, index: int, number: int) -> Stage:
    """The part of the stage that belongs to one of several things."""
    start, stop = index / number, (index + 1) / number
    if layout == "beside":
        return replace(stage, left=stage.left + start * stage.width, right=stage.left + stop * stage.width)
    if layout == "stacked":
        return replace(stage, top=stage.top + start * stage.height, bottom=stage.top + stop * stage.height)
    return stage


def _fit(body: Body, lane: Stage) -> Body:
    """The body, made small enough for a narrow lane."""
    limit = 0.92 * min(lane.width / (2 * body.half_width), lane.height / (2 * body.half_height))
    return replace(body, size=min(body.size, limit))


def _hide(rng: np.random.Generator, stage: Stage, body: Body, prop: str) -> tuple[Track, tuple[Sprite, Track]]:
    """A way from one side to the other behind a prop in the middle that covers the thing wholly for a while."""
    limit = 0.26 * stage.width / (2 * body.half_width)
    body = replace(body, size=min(body.size, limit, 0.5 * stage.height))
    half = body.half_width * body.size
    wide, tall = 2 * half * rng.uniform(1.15, 1.3), 2 * body.half_height * body.size * rng.uniform(1.35, 1.7)
    middle = (stage.left + stage.right) / 2 + rng.uniform(-0.04, 0.04) * stage.width
    way = np.linspace(stage.left + half, stage.right - half, stage.frames)
    sign = int(rng.choice([-1, 1]))
    y = rng.uniform(stage.top + tall / 2, stage.bottom - tall / 2)
    moving = track(stage, way[::sign], y, body.size, detail="right" if sign > 0 else "left")
    sprite = props.draw(rng, prop, max(8, round(tall)), max(8, round(wide)))
    return moving, (sprite, track(stage, middle, y, max(sprite.size)))


def _mirrored(name: str, way: Track) -> bool:
    """Whether a sprite that looks to one side has to look to the other one to go where it goes."""
    across = way.x[-1] - way.x[0]
    facing = FACING.get(name)
    straight = way.detail.endswith(("left", "right"))
    return straight and facing == ("left" if across > 0 else "right")


def _poses(rng: np.random.Generator, sprite: Sprite, stage: Stage, frozen: float) -> np.ndarray:
    """Which frame of the sprite's own animation shows when: its natural speed, or one pose throughout."""
    start = rng.integers(sprite.num_frames)
    step = 0 if rng.random() < frozen else FPS / stage.fps
    return np.asarray((start + np.floor(np.arange(stage.frames) * step + 1e-9).astype(int)) % sprite.num_frames)


def _glimpse(way: Track, motion: str, stage: Stage, number: int) -> Glimpse:
    """What a caption may say of one track."""
    side = min(stage.width, stage.height)
    share = float(way.size.max()) / side
    size = "" if motion in ("grows", "shrinks") else "big" if share > BIG else "small" if share < SMALL else ""
    pace = spot = ""
    if way.detail and motion not in ("circles", "hides") and stage.frames > 1:
        speed = float(np.hypot(way.x[-1] - way.x[0], way.y[-1] - way.y[0])) / stage.duration / side
        pace = "quickly" if speed > FAST else "slowly" if speed < SLOW else ""
    if motion == "still" and number == 1:
        across, down = (way.x[0] - stage.left) / stage.width, (way.y[0] - stage.top) / stage.height
        column = "left" if across < 0.38 else "right" if across > 0.62 else "middle"
        spot = SPOTS[column, "top" if down < 0.38 else "bottom" if down > 0.62 else "middle"]
    return Glimpse(detail=way.detail, size=size, pace=pace, spot=spot)
