"""What a world is made of: which things, motions and places may come up, and how often."""

from collections import Counter
from dataclasses import dataclass

from hibari.worlds.backgrounds import PLACES
from hibari.worlds.camera import CAMERAS
from hibari.worlds.looks import drawable
from hibari.worlds.motions import MOTIONS
from hibari.worlds.pack import Entry, SpritePack
from hibari.worlds.weather import WEATHERS

STARTER_OBJECTS = (
    "octopus",
    "panda",
    "rocket",
    "red heart",
    "snowman",
    "pumpkin",
    "crab",
    "whale",
    "tropical fish",
    "unicorn",
    "fox",
    "penguin",
    "frog",
    "bee",
    "butterfly",
    "turtle",
    "robot",
    "ghost",
    "parrot",
    "star",
    "ladybug",
    "teddy bear",
    "tractor",
    "helicopter",
)

NOT_THINGS = ("", "component", "symbols", "flags")  # groups of signs, which nobody would film
# Whole views rather than things: a sunset does not drift over the sea at sunset.
VIEWS = {
    "foggy",
    "night with stars",
    "sunrise",
    "sunrise over mountains",
    "sunset",
    "cityscape",
    "cityscape at dusk",
    "bridge at night",
    "milky way",
    "desert",
    "desert island",
    "national park",
    "beach with umbrella",
    "moon viewing ceremony",
    "fog",
    "carp streamer",
    "motorway",
    "railway track",
}
RUDE = ("1f595", *(f"1f595-1f3f{tone}" for tone in "bcdef"))


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The words of a world, and how often they come up.

    `weights` says how often each object comes up against the others (all alike where it is empty);
    `counts[n]` is the share of clips with n+1 things, `collisions` the share of those with several in which they meet;
    `moving_camera` and `weather` are the shares of clips that have one of `cameras` or `weathers`; `sizes` bounds the
    longer side of a thing as a share of the frame's shorter side; `frozen` is the share without their own animation.
    An object that is a kind with several looks (looks.py) comes up in all of them alike; `tells_gender` and
    `tells_tone` are the shares of its captions that say which.
    """

    objects: tuple[str, ...]
    weights: tuple[float, ...] = ()
    motions: tuple[str, ...]
    backgrounds: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    weathers: tuple[str, ...] = ()
    counts: tuple[float, ...] = (1.0,)
    collisions: float = 0.0
    moving_camera: float = 0.0
    weather: float = 0.0
    sizes: tuple[float, float] = (0.36, 0.56)
    frozen: float = 0.1
    tells_gender: float = 0.4
    tells_tone: float = 0.4


STARTER = Vocabulary(
    objects=STARTER_OBJECTS,
    motions=("still", "left", "right", "up", "down", "bounces", "grows", "circles"),
    backgrounds=("sky", "sunset", "night", "meadow", "desert", "ocean", "snow", "forest"),
    counts=(0.9, 0.1),
)


def whole(pack: SpritePack) -> Vocabulary:
    """Everything that the pack and the world can show; the variants of a thing share its chances.

    A kind with several looks is one word, with as many chances as it has genders.
    """
    things = [
        entry
        for entry in pack.entries.values()
        if entry.group not in NOT_THINGS and entry.code not in RUDE and entry.label not in VIEWS
    ]
    kind_of = {look.sprite: name for name, looks in pack.looks.items() for look in looks}
    families = Counter(_family(entry) for entry in things if entry.name not in kind_of)
    weights: dict[str, float] = {}
    for entry in things:
        if entry.name in kind_of:
            kind = kind_of[entry.name]
            weights[kind] = len({look.gender for look in drawable(pack.looks[kind])})
        else:
            weights[entry.name] = 1 / families[_family(entry)]
    return Vocabulary(
        objects=tuple(weights),
        weights=tuple(weights.values()),
        motions=tuple(name for name in MOTIONS if name != "collides"),
        backgrounds=tuple(PLACES),
        cameras=tuple(name for name in CAMERAS if name != "still"),
        weathers=WEATHERS,
        counts=(0.6, 0.28, 0.12),
        collisions=0.35,
        moving_camera=0.2,
        weather=0.2,
        sizes=(0.3, 0.6),
    )


def _family(entry: Entry) -> str:
    return entry.label.partition(":")[0]
