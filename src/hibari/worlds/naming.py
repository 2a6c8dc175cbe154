"""What things are called: from an emoji's label to the noun that a caption uses."""

import re

# Labels that nobody would say, and what people say instead. The first name is the canonical one.
NAMES = {
    "lady beetle": "ladybug",
    "honeybee": "bee",
    "snowman without snow": "snowman",
    "snowman": "snowman in falling snow",
    "jack-o-lantern": "pumpkin",
    "sun with face": "smiling sun",
    "automobile": "car",
    "oncoming automobile": "oncoming car",
    "T-Rex": "dinosaur",
    "sauropod": "long-necked dinosaur",
    "front-facing baby chick": "newborn chick",
    "ewe": "sheep",
    "Christmas tree": "Christmas tree",
    "locomotive": "steam train",
    "articulated lorry": "big truck",
    "hot beverage": "cup of coffee",
    "high voltage": "lightning bolt",
    "pile of poo": "pile of poo",
    "ringed planet": "planet with rings",
    "spouting whale": "spouting whale",
    "two-hump camel": "two-humped camel",
    "flying saucer": "flying saucer",
    "mobile phone": "mobile phone",
    "fire engine": "fire truck",
    "blowfish": "pufferfish",
}


def name_of(label: str) -> str:
    """The noun phrase, without an article, for an emojibase label."""
    if label in NAMES:
        return NAMES[label]
    head, _, rest = label.partition(": ")
    if not rest:
        return head
    if head == "flag":
        return f"flag of {rest}"
    if head == "keycap":
        return f"keycap {rest}"
    features = rest.split(", ")
    return f"{NAMES.get(head, head)} with {' and '.join(_feature(feature) for feature in features)}"


def _feature(feature: str) -> str:
    return f"a {feature}" if re.fullmatch(r"beard", feature) else feature


# Which way a sprite looks, where it looks to one side: it is mirrored when it moves the other way.
FACING = {
    "whale": "left",
    "tropical fish": "left",
    "unicorn": "left",
    "bee": "left",
    "turtle": "left",
    "parrot": "right",
    "tractor": "left",
    "helicopter": "left",
    "rocket": "right",
}
