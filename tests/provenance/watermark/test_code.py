"""The code heals what it should, and says nothing where nothing was said. About 5 seconds."""

import numpy as np

from hibari.provenance.watermark import code

IDS = np.random.default_rng(1).integers(0, 2**48, 3000, dtype=np.uint64)


def test_codewords_are_linear_and_far_apart() -> None:
    first, second = 0x0123456789AB, 0xFEDCBA987654
    product = code.encode(first) * code.encode(second) * code.encode(0)
    assert np.array_equal(product, code.encode(first ^ second))
    agreements = code.agreement(code.encode(int(IDS[0])), IDS[1:])
    assert agreements.max() < 140, "of 256 signs, chance alone gives 16 more or less than none"
    single = [int((code.encode(1 << place) > 0).sum()) for place in range(48)]
    assert min(single) >= 29, "a lone bit stays at least the code's free distance from zero"


def test_the_checksum_is_the_standard_one() -> None:
    assert code.checksum(int.from_bytes(b"\0\0\0\0\0A", "big")) == 0x58E5, "CRC-16/XMODEM of an A"


def test_noise_is_healed() -> None:
    rng = np.random.default_rng(2)
    for value in (0, 2**48 - 1, int(IDS[0]), int(IDS[1])):
        soft = code.encode(value) * (12.5 / 16) + rng.normal(size=256)
        assert (np.sign(soft) != code.encode(value)).mean() > 0.15, "about a fifth of the signs are wrong"
        assert code.decode(soft) == value


def test_erased_signs_are_healed() -> None:
    soft = code.encode(int(IDS[2]))
    soft[np.random.default_rng(3).permutation(256)[:150]] = 0
    assert code.decode(soft) == int(IDS[2])


def test_noise_alone_hardly_ever_spells_an_id() -> None:
    rng = np.random.default_rng(4)
    assert sum(code.decode(rng.normal(size=256)) is not None for _ in range(12)) <= 1


def test_agreement_is_the_correlation_with_each_codeword() -> None:
    soft = np.random.default_rng(5).normal(size=256).astype(np.float32)
    expected = [float(code.encode(int(value)) @ soft) for value in IDS[:20]]
    assert np.allclose(code.agreement(soft, IDS[:20]), expected, atol=1e-3)
