"""Captions: varied English for what a scene shows, and nothing that it does not show."""

from collections.abc import Sequence

import numpy as np

from hibari.worlds.scene import Labels

# Present third person, what may follow "is", and both for each motion.
VERBS = {
    "still": ["stays in place", "stays where it is", "stays still", "is staying in place", "hovers in place"],
    "left": [
        "moves to the left",
        "drifts to the left",
        "glides left",
        "is moving left",
        "travels to the left",
        "drifts left",
    ],
    "right": [
        "moves to the right",
        "drifts to the right",
        "glides right",
        "is moving right",
        "travels to the right",
        "drifts right",
    ],
    "up": ["moves up", "rises", "floats upwards", "is rising", "drifts up", "goes up"],
    "down": ["moves down", "sinks", "descends", "is sinking", "drifts down", "goes down"],
    "bounces": ["bounces", "bounces up and down", "is bouncing", "bounces on the ground", "hops up and down"],
    "grows": ["grows", "gets bigger", "is growing", "becomes larger", "grows bigger"],
    "shrinks": ["shrinks", "gets smaller", "is shrinking", "becomes smaller"],
    "circles": ["circles", "moves in a circle", "goes round in circles", "is circling", "flies in circles"],
    "diagonal": ["moves {detail}", "drifts {detail}", "glides {detail}", "is moving {detail}"],
    "rolls": ["rolls to the {detail}", "rolls {detail}", "is rolling to the {detail}"],
    "appears": ["appears", "appears out of nowhere", "pops up", "suddenly appears"],
}
PLACES = {
    "sky": ["in the sky", "in a blue sky", "against a blue sky", "among the clouds"],
    "sunset": ["at sunset", "against the sunset", "over the ocean at sunset", "over the sea at sunset"],
    "night": ["at night", "in the night sky", "under the stars", "in a starry night"],
    "meadow": ["in a meadow", "over a green meadow", "in a field of flowers", "on a grassy hill"],
    "desert": ["in the desert", "over the desert", "over sand dunes", "in a sandy desert"],
    "ocean": ["over the ocean", "over the sea", "above the blue ocean", "at sea"],
    "snow": ["in the snow", "in a snowy landscape", "over snowy hills", "in winter"],
    "forest": ["in a forest", "in the woods", "among the trees", "in a green forest"],
}


def article(noun: str) -> str:
    """The noun phrase with "a" or "an" before it."""
    return f"{'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"


def caption(rng: np.random.Generator, labels: Labels, details: Sequence[str], *, moving: bool) -> str:
    """One caption of the scene; a picture (`moving` false) names no motion."""
    place = str(rng.choice(PLACES[labels.background]))
    parts = []
    for noun, motion, detail in zip(labels.objects, labels.motions, details, strict=True):
        verb = " " + str(rng.choice(VERBS[motion])).format(detail=detail) if moving else ""
        parts.append(article(noun) + verb)
    things = " and ".join(parts)
    return f"{place}, {things}" if rng.random() < 0.3 else f"{things} {place}"
