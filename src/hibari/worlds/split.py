"""Which (thing, motion, place) triples are held out of training: one in ten, by a rule that only looks at the names.

The three names give three numbers, and a triple is held out where their sum is a multiple of ten. Changing any one name
changes the sum, so each pair is seen with nine tenths of the third; adding words to a vocabulary moves no triple.
"""

import hashlib

SHARE = 10


def number(name: str) -> int:
    """A stable number in 0..9 for a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % SHARE


def is_held_out(thing: str, motion: str, place: str) -> bool:
    """Whether the triple is kept from training."""
    return (number(thing) + number(f"motion {motion}") + number(f"place {place}")) % SHARE == 0
