"""When a reading is a finding: how rarely an unmarked or foreign clip would speak as clearly.

A claim rests on the id's signs alone. The pilots only say where to read, and know nothing of the signs: both are drawn
from the key independently. So for any picture whatever, an id that is not in it reaches a statistic of z with a chance
of at most exp(-z^2/2) over the keys that could have been drawn (Hoeffding, J. Amer. Stat. Assoc. 58, 1963), and the
chance of any claim is at most that times the ids, places, windows and keys that were read. Nothing is fitted.
"""

import math
from dataclasses import dataclass

RATE = 1e-6  # a claim is made where chance alone would make it in fewer searches than this


@dataclass(frozen=True, kw_only=True)
class MarkFinding:
    """What a search for the watermark came to.

    `exact`: the id came out of the frames alone, its checksum holds. Otherwise a found id is the one among the issued
    ids that agrees best. `z` is the pilots' statistic and `id_z` the id's, both in standard deviations of chance, for
    the best that was seen (where nothing is found: of the issued ids). `false_positive_rate` bounds the share of
    searches without a mark that would end in so strong a claim (1 where none is made). `scale` is the file's size over
    the size that was marked (of which a short side of more than 480 pixels counts as 480), `angle` its turn in degrees,
    `flipped` whether it is mirrored. `whole` is False where time ran out before every size and turn was tried.
    """

    found: bool
    id: int | None = None
    exact: bool = False
    z: float = 0.0
    id_z: float = 0.0
    false_positive_rate: float = 1.0
    key: str | None = None
    flipped: bool = False
    scale: float = 1.0
    angle: float = 0.0
    whole: bool = True


def false_positive_rate(id_z: float, *, readings: int, ids: float) -> float:
    """A bound on the chance of an id's statistic this high without a mark.

    `readings` counts the places at which the id was read in a whole search (windows and keys included), `ids` what each
    reading could have said.
    """
    return min(1.0, readings * ids * math.exp(-id_z * abs(id_z) / 2))
