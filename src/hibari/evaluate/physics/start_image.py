"""The start image kept: how far the first frame that is made lies behind the VAE's own reconstruction of the image.

What a VAE cannot rebuild no transformer on it can keep, so the measure is the difference of two PSNRs against the start
image, in dB: that of the picture through the VAE alone, less that of the first frame made. 0 is all that is possible.
A model that is told the image's latent, and leaves it as it is, has 0 by its form; one that draws the image anew, or
decodes its first frame with what comes later, has not. Beside it: whether the image's object is still there, said by
the judge, as more than half of the frames show it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hibari.evaluate import spoiling
from hibari.evaluate.intervals import Mean, Share
from hibari.evaluate.judges import Judges
from hibari.evaluate.prompts import Prompt, held_out_scenes, plain_world, prompts_of
from hibari.evaluate.reconstruction import psnr
from hibari.generate.generator import Generator
from hibari.shapes import VideoShape
from hibari.worlds import Scene, World

NAME, TARGET = "start-image", 0.5  # dB, at most
FRAMES = 21
SOFT = 1.0  # pixels of blur


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One clip from a start image: `first` is its first frame, `rebuilt` the image through the VAE, both uint8.

    `object_kept`: whether the object that the image shows is seen in the clip.
    """

    prompt: Prompt
    start: np.ndarray
    first: np.ndarray
    rebuilt: np.ndarray
    object_kept: bool

    @property
    def lost_db(self) -> float:
        """How much worse the first frame is than the VAE's own."""
        return lost_db(self.start, self.first, self.rebuilt)


def lost_db(start: np.ndarray, first: np.ndarray, rebuilt: np.ndarray) -> float:
    """PSNR of `rebuilt` less that of `first`, both against `start`; pictures are uint8."""
    return psnr(start, rebuilt) - psnr(start, first)


def scenes(generator: Generator, world: World, count: int) -> list[Scene]:
    """Held-out scenes at the model's default size, seeds in order; their first frames are the start images."""
    size = generator.model.card.sizes[0]
    return held_out_scenes(plain_world(world), count, VideoShape(FRAMES, size.height, size.width))


def keep(
    generator: Generator, judges: Judges, asked: Sequence[Scene], make: Callable[[Prompt, np.ndarray], np.ndarray]
) -> Iterator[Kept]:
    """Make a clip from the first frame of each scene, for its caption."""
    for scene, prompt in zip(asked, prompts_of(asked), strict=True):
        start = scene.render()[0]
        frames = make(prompt, start)
        yield Kept(
            prompt=prompt,
            start=start,
            first=frames[0],
            rebuilt=next(generator.decode(generator.encode_picture(start))),
            object_kept=judges.judge(frames).object == prompt.object,
        )


def summarise(kept: Sequence[Kept]) -> dict[str, Any]:
    """The mean loss with its 95% interval, both PSNRs, and the share of clips that keep the object."""
    return {
        **Mean.of([one.lost_db for one in kept]).as_dict(),
        "first_frame_db": Mean.of([psnr(one.start, one.first) for one in kept]).as_dict(),
        "rebuilt_db": Mean.of([psnr(one.start, one.rebuilt) for one in kept]).as_dict(),
        "object_kept": Share(sum(one.object_kept for one in kept), len(kept)).as_dict(),
    }


def own_scores(generator: Generator, asked: Sequence[Scene]) -> dict[str, dict[str, Any]]:
    """The loss of real clips through the VAE, and of first frames that are spoiled: soft, or another clip's."""
    starts, firsts, rebuilt = [], [], []
    for scene in asked:
        frames = scene.render()
        starts.append(frames[0])
        firsts.append(next(generator.decode(generator.encode_clip(iter(frames)))))
        rebuilt.append(next(generator.decode(generator.encode_picture(frames[0]))))
    others = [*firsts[1:], firsts[0]]
    return {
        name: Mean.of([lost_db(*three) for three in zip(starts, given, rebuilt, strict=True)]).as_dict()
        for name, given in (
            ("real clips", firsts),
            (f"blurred, sigma {SOFT:g}", [_soft(first) for first in firsts]),
            ("others' start images", others),
        )
    }


def _soft(picture: np.ndarray) -> np.ndarray:
    blurred = spoiling.blur(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), SOFT)
    soft: np.ndarray = blurred[0].round().to(torch.uint8).permute(1, 2, 0).numpy()
    return soft
