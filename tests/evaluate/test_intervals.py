"""Wilson's interval against published values, and a mean's against the normal one. Well under a second."""

import numpy as np
import pytest

from hibari.evaluate.intervals import Mean, Share


def test_the_interval_is_wilsons() -> None:
    """81 of 263 is the worked example of Newcombe 1998, table I: 0.2553 to 0.3662."""
    low, high = Share(81, 263).interval
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@pytest.mark.parametrize("share", [Share(0, 20), Share(20, 20), Share(0, 0)])
def test_it_stays_inside_and_is_never_a_point(share: Share) -> None:
    low, high = share.interval
    assert 0 <= low < high <= 1


def test_it_reads_as_a_sentence_and_as_json() -> None:
    assert str(Share(50, 100)) == "50.0% (40.4% to 59.6%, 50 of 100)"
    assert Share(50, 100).as_dict() == {"hits": 50, "of": 100, "share": 0.5, "low": 0.4038, "high": 0.5962}


def test_a_means_interval_is_near_the_normal_one() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400).tolist()
    mean = Mean.of(values)
    assert mean.value == pytest.approx(np.mean(values))
    assert (mean.high - mean.low) / 2 == pytest.approx(1.96 * np.std(values) / 20, rel=0.1)
    assert Mean.of([0.5]).as_dict() == {"mean": 0.5, "low": 0.5, "high": 0.5, "of": 1}
