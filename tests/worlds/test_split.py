"""The held-out rule, by enumeration over the starter vocabulary. Well under a second."""

from itertools import product

from hibari.worlds.split import is_held_out
from hibari.worlds.vocabulary import STARTER

TRIPLES = list(product(STARTER.objects, STARTER.motions, STARTER.backgrounds))


def test_about_a_tenth_is_held_out() -> None:
    share = sum(is_held_out(*triple) for triple in TRIPLES) / len(TRIPLES)
    assert 0.08 < share < 0.12


def test_every_pair_is_seen_and_every_word_is_held_out_somewhere() -> None:
    seen = [triple for triple in TRIPLES if not is_held_out(*triple)]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        pairs = {(triple[first], triple[second]) for triple in TRIPLES}
        assert {(triple[first], triple[second]) for triple in seen} == pairs
    held = [triple for triple in TRIPLES if is_held_out(*triple)]
    assert {triple[0] for triple in held} == set(STARTER.objects)
    assert {triple[2] for triple in held} == set(STARTER.backgrounds)


def test_the_rule_only_looks_at_names() -> None:
    # Written down so that no change of code moves a triple from one side to the other.
    assert all(is_held_out(*triple) for triple in HELD_OUT)
    assert not any(is_held_out(thing, motion, "city") for thing, motion in SEEN_IN_THE_CITY)


HELD_OUT = [
    ("octopus", "still", "ocean"),
    ("whale", "still", "forest"),
    ("frog", "down", "forest"),
    ("ghost", "down", "sky"),
]
SEEN_IN_THE_CITY = [("octopus", "left"), ("pumpkin", "down"), ("penguin", "still"), ("robot", "bounces")]
