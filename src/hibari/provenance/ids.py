"""The 48-bit id of a generation, which its watermark carries and its records are kept under."""

import re
import secrets
from dataclasses import dataclass
from typing import Self

from hibari.errors import InvalidRequest

BITS = 48
PREFIX = "hbr_"
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_LENGTH = 10
_LOOKALIKES = str.maketrans("ilo", "110")


@dataclass(frozen=True, order=True)
class GenerationId:
    """A random number below 2**48, written as hbr_ and ten letters."""

    value: int

    def __post_init__(self) -> None:
        assert 0 <= self.value < 2**BITS, self.value

    @classmethod
    def new(cls) -> Self:
        """A fresh one, from the system's randomness."""
        return cls(secrets.randbelow(2**BITS))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The id that a person typed; raises InvalidRequest. Capital letters, and i, l and o, are forgiven."""
        letters = text.strip().lower().removeprefix(PREFIX).translate(_LOOKALIKES)
        value = -1
        if re.fullmatch(f"[{LETTERS}]{{{_LENGTH}}}", letters):
            value = 0
            for letter in letters:
                value = value * 32 + LETTERS.index(letter)
        if not 0 <= value < 2**BITS:
            raise InvalidRequest(f"{text!r} is not an id.", option="id", hint="Ids look like hbr_7zk2m4q0xd.")
        return cls(value)

    def __str__(self) -> str:
        letters = (LETTERS[self.value >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
        return PREFIX + "".join(letters)
