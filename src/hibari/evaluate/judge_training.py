"""From a world to judges with a card: everything is a function of the vocabulary, so a new one needs one command."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hibari.evaluate import spoiling
from hibari.evaluate.following import ASPECTS, Answer, ask, chance, oracle, summarise
from hibari.evaluate.frame_judge import FrameJudge, FrameJudgeConfig
from hibari.evaluate.frame_training import FrameTraining, train_frame_judge
from hibari.evaluate.intervals import Share
from hibari.evaluate.judges import Judges
from hibari.evaluate.lessons import draw_bank
from hibari.evaluate.motion_judge import MotionJudge, MotionTraining, train_motion_judge, true_tracks
from hibari.evaluate.prompts import JUDGED, RENDERED, held_out_scenes, plain_world, prompts_of
from hibari.shapes import VideoShape
from hibari.worlds import World

SIZES = ((192, 112), (112, 192), (128, 128), (160, 96), (96, 160), (144, 112), (112, 144), (256, 144), (144, 256))
BLURS = (3.0, 5.0, 8.0)  # pixels
SOFT = 1.6  # pixels of blur that must be forgiven: 30 dB
LEAST = 0.97  # share that a judge must get right


@dataclass(frozen=True, kw_only=True)
class JudgeTraining:
    """Settings. `scenes`: how many for the frame judge's default size; other sizes get a third of that each."""

    sizes: tuple[tuple[int, int], ...] = SIZES
    scenes: int = 700
    kept: int = 5
    frames: FrameTraining = FrameTraining()
    motion: MotionTraining = MotionTraining()
    seed: int = 1


def train_judges(world: World, training: JudgeTraining, tell: Callable[[str], None]) -> Judges:
    """Judges for the world's vocabulary, learned from its training scenes; `tell` hears how it goes."""
    words = world.vocabulary
    torch.manual_seed(training.seed)
    start = time.monotonic()
    banks = [
        draw_bank(
            world,
            size,
            training.scenes if not index else max(1, training.scenes // 3),
            training.kept,
            training.seed + index,
        )
        for index, size in enumerate(training.sizes)
    ]
    tell(f"{sum(len(bank.places) for bank in banks)} frames drawn, {time.monotonic() - start:.0f} s")
    frames = FrameJudge(FrameJudgeConfig(objects=words.objects, backgrounds=words.backgrounds))
    train_frame_judge(frames, banks, training.frames, tell)
    plain = plain_world(world)
    motion = MotionJudge(plain.vocabulary.motions)
    tracks = true_tracks(plain, training.sizes, training.motion.scenes, training.seed + len(training.sizes))
    train_motion_judge(motion, tracks, training.motion)
    return Judges(frames, motion)


def score_judges(judges: Judges, world: World, clips: int = 300) -> dict[str, Any]:
    """The judges' card, on held-out scenes: real clips, all sizes, softened, blurred, noise, and shuffled prompts."""
    plain = plain_world(world)
    scenes = held_out_scenes(plain, clips)
    answers = list(ask(oracle(plain), judges, prompts_of(scenes)))
    few = scenes[: max(1, clips // 3)]
    card: dict[str, Any] = {"real": _without_answers(summarise(answers))}
    card["sizes"] = {
        f"{width}x{height}": _right(_at_size(judges, plain, width, height, max(1, clips // 10)))
        for width, height in SIZES
    }
    card["softened"] = {f"sigma {SOFT:g}": _right([_spoiled(judges, scene, _blurring(SOFT)) for scene in few])}
    card["rejected"] = {
        f"blurred, sigma {sigma:g}": _rejected([_spoiled(judges, scene, _blurring(sigma)) for scene in few])
        for sigma in BLURS
    }
    card["rejected"]["noise"] = _rejected([_spoiled(judges, scene, _to_noise) for scene in few])
    card["shuffled"] = {aspect: round(chance(answers, aspect), 4) for aspect in ASPECTS}
    card["uniform chance"] = {
        "object": round(1 / len(plain.vocabulary.objects), 4),
        "motion": round(1 / len(plain.vocabulary.motions), 4),
        "background": round(1 / len(plain.vocabulary.backgrounds), 4),
    }
    return card


def _at_size(judges: Judges, world: World, width: int, height: int, count: int) -> list[Answer]:
    scenes = held_out_scenes(world, count, VideoShape(RENDERED.frames, height, width), first=10**6)
    return [_spoiled(judges, scene, lambda frames: frames) for scene in scenes]


def _spoiled(judges: Judges, scene: Any, spoil: Callable[[np.ndarray], np.ndarray]) -> Answer:
    return Answer(prompts_of([scene])[0], judges.judge(spoil(scene.render()[:JUDGED])))


def _blurring(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    def spoil(frames: np.ndarray) -> np.ndarray:
        blurred = spoiling.blur(torch.from_numpy(frames).permute(0, 3, 1, 2).float(), sigma)
        spoilt: np.ndarray = blurred.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return spoilt

    return spoil


def _to_noise(frames: np.ndarray) -> np.ndarray:
    return np.random.default_rng(int(frames[0, 0, 0, 0])).integers(0, 256, frames.shape, np.uint8)


def _right(answers: Sequence[Answer]) -> dict[str, Any]:
    return {aspect: Share(sum(a.right(aspect) for a in answers), len(answers)).as_dict() for aspect in ASPECTS}


def _rejected(answers: Sequence[Answer]) -> dict[str, Any]:
    """The share of clips in which no object of the vocabulary is seen."""
    return Share(sum(answer.verdict.object is None for answer in answers), len(answers)).as_dict()


def _without_answers(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "answers"}


def passes(card: dict[str, Any]) -> bool:
    """Whether judges with that card may judge: right on real clips, and blurred clips and noise rejected."""
    return all(card["real"][aspect]["share"] >= LEAST for aspect in ASPECTS) and all(
        part["share"] >= LEAST for part in card["rejected"].values()
    )
