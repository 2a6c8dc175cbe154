"""The velocity field that a solver walks: what is told to a transformer at each visit, and guidance over its answers.

Legend: C channels, T H W latent axes, L tokens, F latent frames, E numbers of a picture's state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hibari.flow.guidance import guide
from hibari.flow.solver import Velocity
from hibari.flow.times import NUM_TIMESTEPS, timestep_of
from hibari.generate.conditions import State
from hibari.model.dit import WanDiT
from hibari.model.packing import pack, unpack


@dataclass(frozen=True)
class Told:
    """What a transformer is told of a video: states of the prompt, of what to move away from, and the frame rate."""

    prompt: Tensor
    negative: Tensor | None
    fps: int


def guided(dit: WanDiT, state: State, told: Told, guidance: float) -> Velocity:
    """The field of one transformer: the prompt and its negative as one pack of two clips, or the prompt alone."""
    texts = [told.prompt]
    if guidance != 1:
        assert told.negative is not None, "guidance needs what to move away from"
        texts.append(told.negative)
    patch, channels, clips = dit.config.patch_size, state.latent_CTHW.shape[0], len(texts)
    keys = dit.encode_text(texts, state.pictures_ISE)
    scale_F = _by_frame(state.scale_THW, patch)
    scale = scale_F if scale_F is not None else _by_token(state.scale_THW, patch)
    all_free = bool((state.scale_THW == 1).all())
    assert not state.references or patch[0] == 1, "a reference picture is one latent frame"

    def velocity(x_CTHW: Tensor, sigma: float) -> Tensor:
        seen_CTHW = x_CTHW if state.beside_CTHW is None else torch.cat([x_CTHW, state.beside_CTHW])
        patches_LP, layout = pack([seen_CTHW] * clips, patch)
        if state.references:
            layout = replace(layout, references=(state.references,) * clips)
        levels = (scale * (timestep_of(sigma) / NUM_TIMESTEPS)).repeat(clips)
        parts: Sequence[Tensor] = unpack(dit(patches_LP, layout, levels, keys, told.fps), layout, channels, patch)
        v_CTHW = parts[0] if clips == 1 else guide(parts[0], parts[1], guidance)
        return v_CTHW if all_free else v_CTHW * state.scale_THW

    return velocity


def _by_frame(scale_THW: Tensor, patch: tuple[int, int, int]) -> Tensor | None:
    """The scale of each token frame; None where it differs inside one."""
    frames = scale_THW[:: patch[0], 0, 0]
    same = (scale_THW == frames.repeat_interleave(patch[0])[:, None, None]).all()
    return frames if bool(same) else None


def _by_token(scale_THW: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """The scale of each token, frame by frame, row by row."""
    t, h, w = patch
    return scale_THW[::t, ::h, ::w].flatten()
