"""The 48-bit id as 256 signs that heal: checksum, tail-biting convolutional code, and a soft list decoder.

The code is the rate 1/4 one of constraint length 11 and free distance 29 (generators 2327, 2353, 2671, 3175 octal;
Lin and Costello, Error Control Coding, table 12.1), closed into a ring so that no bit is spent on a tail. The
checksum (CRC-16-CCITT, starting from zero) makes code and checksum one linear map from id to signs. No images here.
"""

from functools import cache

import numpy as np

ID_BITS, CRC_BITS = 48, 16
PAYLOAD = ID_BITS + CRC_BITS
GENERATORS = (0o2327, 0o2353, 0o2671, 0o3175)
MEMORY = 10
STATES = 2**MEMORY
CODE_BITS = PAYLOAD * len(GENERATORS)
LIST = 4  # paths kept into each state
LAPS = 3  # times round the ring: two to forget where the decoder began, and the one that counts
CANDIDATES = 512


def checksum(value: int) -> int:
    """CRC-16-CCITT of the id's six bytes, from zero."""
    rest = 0
    for byte in value.to_bytes(ID_BITS // 8, "big"):
        rest ^= byte << 8
        for _ in range(8):
            rest = (rest << 1 ^ (0x1021 if rest & 0x8000 else 0)) & 0xFFFF
    return rest


def encode(value: int) -> np.ndarray:
    """The signs of an id: float32 (256,), -1 for a zero and +1 for a one."""
    assert 0 <= value < 2**ID_BITS, value
    return np.unpackbits(_packed(np.array([value], np.uint64))[0]).astype(np.float32) * 2 - 1


def decode(soft: np.ndarray) -> int | None:
    """The id whose signs agree best with `soft` (256 floats, positive for a one), where its checksum holds.

    Looks through the most likely codewords in the order of their agreement. None where no checksum holds.
    """
    bits = _likely_payloads(soft.astype(np.float64))
    ids = bits[:, :ID_BITS] @ (1 << np.arange(ID_BITS - 1, -1, -1, dtype=np.uint64))
    sums = bits[:, ID_BITS:] @ (1 << np.arange(CRC_BITS - 1, -1, -1, dtype=np.uint64))
    good = [int(value) for value, rest in zip(ids, sums, strict=True) if checksum(int(value)) == int(rest)]
    if not good:
        return None
    return good[int(np.argmax(agreement(soft, np.array(good, np.uint64))))]


def agreement(soft: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The correlation of `soft` (256 floats) with the signs of each of `ids` (uint64): float32, one each.

    A million ids take about a fifth of a second: each of a codeword's bytes looks its sum up in a table.
    """
    signs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32) * 2 - 1
    tables = soft.reshape(-1, 8).astype(np.float32) @ signs.T  # (32, 256)
    total = np.zeros(len(ids), np.float32)
    for start in range(0, len(ids), 65536):
        part = _packed(ids[start : start + 65536])
        for place, table in enumerate(tables):
            total[start : start + len(part)] += table[part[:, place]]
    return total


def _packed(ids: np.ndarray) -> np.ndarray:
    """Codewords as bytes (ids, 32): the code is linear, so six table rows meet by exclusive or."""
    tables = _byte_tables()
    packed = np.zeros((len(ids), CODE_BITS // 8), np.uint8)
    for place in range(ID_BITS // 8):
        packed ^= tables[place][(ids >> np.uint64(ID_BITS - 8 - 8 * place)).astype(np.uint8)]
    return packed


@cache
def _byte_tables() -> np.ndarray:
    """Packed codewords of every value of each of the id's bytes, the others zero: uint8 (6, 256, 32)."""
    bits = np.array([_convolve(_payload(1 << (ID_BITS - 1 - place))) for place in range(ID_BITS)])
    values = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64)
    rows = np.stack([values @ bits[8 * place : 8 * place + 8] & 1 for place in range(ID_BITS // 8)])
    return np.packbits(rows.astype(np.uint8), axis=-1)


def _payload(value: int) -> np.ndarray:
    """Id and checksum as bits, high ones first."""
    both = value << CRC_BITS | checksum(value)
    return np.array([both >> place & 1 for place in range(PAYLOAD - 1, -1, -1)])


def _convolve(bits: np.ndarray) -> np.ndarray:
    """Payload bits through the code's ring: 0 or 1, (256,)."""
    taps = [[generator >> delay & 1 for delay in range(MEMORY + 1)] for generator in GENERATORS]
    seen = np.stack([np.roll(bits, delay) for delay in range(MEMORY + 1)])
    return (np.array(taps) @ seen % 2).T.reshape(-1)


@cache
def _trellis() -> tuple[np.ndarray, np.ndarray]:
    """For each state (its last ten bits, the newest lowest): the two states before it, and those branches' signs."""
    state = np.arange(STATES)
    before = np.stack([state >> 1, (state >> 1) + STATES // 2], axis=1)
    register = before << 1 | (state & 1)[:, None]
    signs = np.stack([[bin(r & g).count("1") % 2 for r in register.ravel()] for g in GENERATORS], axis=-1)
    return before, signs.reshape(STATES, 2, len(GENERATORS)) * 2.0 - 1.0


def _likely_payloads(soft: np.ndarray) -> np.ndarray:
    """The payloads of the best paths through the ring, uint64 bits (up to 512, 64).

    A list Viterbi decoder that keeps four paths into each state, after two laps that leave the start behind
    (wrap-around decoding: Shao, Lin and Fossorier, IEEE Trans. Comm. 51, 2003). A path that does not close
    is kept as well: what it spells is encoded anew before anything is decided.
    """
    before, signs = _trellis()
    metric = np.full((STATES, LIST), -np.inf)
    metric[:, 0] = 0.0
    choices = np.zeros((PAYLOAD, STATES, LIST), np.int16)
    received = soft.reshape(PAYLOAD, len(GENERATORS))
    for lap in range(LAPS):
        if lap == LAPS - 1:
            metric = np.where(np.arange(LIST) == 0, metric[:, :1], -np.inf)
        for step in range(PAYLOAD):
            if lap < LAPS - 1:
                metric[:, 0] = (metric[before, 0] + signs @ received[step]).max(axis=1)
                continue
            reached = (metric[before] + (signs @ received[step])[:, :, None]).reshape(STATES, 2 * LIST)
            choices[step] = np.argsort(-reached, axis=1)[:, :LIST]
            metric = np.take_along_axis(reached, choices[step].astype(np.int64), axis=1)
    best = np.argsort(-metric.ravel())[:CANDIDATES]
    state, rank = best // LIST, best % LIST
    bits = np.zeros((len(best), PAYLOAD), np.uint64)
    for step in range(PAYLOAD - 1, -1, -1):
        bits[:, step] = state & 1
        choice = choices[step, state, rank]
        state, rank = before[state, choice // LIST], choice % LIST
    return np.unique(bits, axis=0)
