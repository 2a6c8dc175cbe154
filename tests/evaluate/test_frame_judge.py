"""The frame judge at any size, its lessons and its loss. About 8 seconds, most of them learning two scenes by heart."""

import numpy as np
import pytest
import torch

from hibari.evaluate.frame_judge import FrameJudge, FrameJudgeConfig, to_input
from hibari.evaluate.frame_training import FrameTraining, draw_batch, frame_loss, train_frame_judge
from hibari.evaluate.lessons import ABSENT, Bank, draw_bank
from hibari.shapes import VideoShape
from hibari.worlds import STARTER, Vocabulary, World

WORDS = Vocabulary(objects=("panda", "red heart"), motions=("still",), backgrounds=("meadow", "night"))
TRAINING = FrameTraining(steps=60, true=8, blurred=2, smeared=1, shuffled=1, mixed=1, blobs=1, noise=1)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return draw_bank(World(vocabulary=WORDS), (96, 96), scenes=6, kept=3, seed=0)


def fresh_judge() -> FrameJudge:
    torch.manual_seed(0)
    return FrameJudge(FrameJudgeConfig(objects=WORDS.objects, backgrounds=WORDS.backgrounds, widths=(8, 16, 24)))


@pytest.mark.parametrize(("height", "width"), [(112, 192), (96, 96), (256, 144), (101, 77)])
def test_it_reads_frames_of_any_size(height: int, width: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    readings = fresh_judge().eval().read(frames)
    assert readings.presence.shape == readings.size.shape == (3,)
    assert readings.centre.shape == (3, 2) and readings.objects.shape == (3, 2) and readings.places.shape == (3, 3)
    assert readings.spots.shape == (3, 2, 2)
    np.testing.assert_allclose(readings.places.sum(1), 1, rtol=1e-5)


def test_input_is_halved_and_padded_to_whole_cells() -> None:
    frames = np.zeros((1, 102, 80, 3), np.uint8)
    frames[:, :2, :2] = 255
    pixels = to_input(frames)
    assert pixels.shape == (1, 3, 56, 40)
    assert (pixels[0, :, 0, 0] == 1).all() and (pixels[0, :, 0, 1] == -1).all()


def test_a_bank_says_what_its_frames_show(bank: Bank) -> None:
    assert (bank.height, bank.width) == (96, 96)
    assert len(bank.pictures) == len(bank.names) == len(bank.places) == 6 * 3 + 2
    assert {ABSENT, 0} <= set(bank.names[:, 0].tolist()) <= {ABSENT, 0, 1} and (bank.names[:, 1:] == ABSENT).all()
    assert (bank.boxes[bank.clear][:, 2] > 20).all()


def test_spoiled_frames_ask_for_no_object(bank: Bank) -> None:
    batch = draw_batch(bank, 2, TRAINING, torch.Generator().manual_seed(0))
    assert batch.pictures_BCHW.shape == (15, 3, 48, 48)
    assert batch.named[:8].any() and not batch.named[8:10].any() and not batch.named[-3:].any()
    assert batch.asked[8:10].any(), "a blurred thing is still somewhere"
    assert batch.places[-1] == 2, "noise is no place"


def test_it_learns(bank: Bank) -> None:
    judge, said = fresh_judge(), []
    batch = draw_batch(bank, 2, TRAINING, torch.Generator().manual_seed(1))
    pixels = batch.pictures_BCHW / 127.5 - 1
    before = frame_loss(judge(pixels), batch).item()
    train_frame_judge(judge, [bank], TRAINING, said.append)
    after = frame_loss(judge(pixels), batch).item()
    assert after < 0.5 * before and not judge.training


def test_heat_is_where_the_thing_is() -> None:
    """A map that is right loses less than one that is shifted by two cells."""
    world = World(vocabulary=STARTER)
    bank = draw_bank(world, (128, 128), scenes=1, kept=1, seed=3)
    batch = draw_batch(
        bank, 8, FrameTraining(true=4, blurred=1, smeared=1, shuffled=1), torch.Generator().manual_seed(2)
    )
    judge = FrameJudge(FrameJudgeConfig(objects=STARTER.objects, backgrounds=STARTER.backgrounds))
    maps = judge(batch.pictures_BCHW / 127.5 - 1)
    heat = torch.full_like(maps.things_BHW, -6.0)
    for index, which in batch.asked.nonzero().tolist():
        x, y, _ = (batch.boxes[index, which] / 8).long().tolist()
        heat[index, y, x] = 6.0
    right = frame_loss(maps._replace(things_BHW=heat), batch)
    wrong = frame_loss(maps._replace(things_BHW=heat.roll(2, dims=2)), batch)
    assert right < wrong


def test_scenes_of_a_bank_repeat() -> None:
    first, again = (draw_bank(World(vocabulary=WORDS), (96, 64), scenes=2, kept=2, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.pictures, again.pictures)
    assert first.pictures.shape[1:] == (32, 48, 3) and VideoShape(1, first.height, first.width) == (1, 64, 96)
