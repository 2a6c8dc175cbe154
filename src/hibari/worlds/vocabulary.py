"""What a world is made of: which things, motions and places may come up, and how often."""

from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The words of a world. `counts[n]` is the share of clips with n+1 things; `sizes` are shares of the shorter side."""

    objects: tuple[str, ...]
    motions: tuple[str, ...]
    backgrounds: tuple[str, ...]
    cameras: tuple[str, ...] = ("still",)
    weathers: tuple[str, ...] = ("clear",)
    counts: tuple[float, ...] = (1.0,)
    sizes: tuple[float, float] = (0.36, 0.56)
    frozen: float = 0.1


STARTER = Vocabulary(
    objects=STARTER_OBJECTS,
    motions=("still", "left", "right", "up", "down", "bounces", "grows", "circles"),
    backgrounds=("sky", "sunset", "night", "meadow", "desert", "ocean", "snow", "forest"),
    counts=(0.9, 0.1),
)
