"""The velocity field that a solver walks: what is told to a transformer at each visit, and guidance over its answers.

Legend: C channels, T H W latent axes, L tokens, F latent frames, E numbers of a picture's state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hibari.flow.guidance import guide
from hibari.flow.times import NUM_TIMESTEPS, timestep_of
from hibari.generate.conditions import State
from hibari.model.dit import WanDiT
from hibari.model.packing import pack, unpack
from hibari.model.parallel import Ranks
from hibari.model.step_cache import StepCache, with_step_cache
from hibari.request import Shortcuts

Field = Callable[[Tensor, float | Sequence[float]], Tensor]
"""A velocity at x, whose unknown elements all are at one level, or those of each latent frame at a level of its own."""


@dataclass(frozen=True)
class Told:
    """What a transformer is told of a video: states of the prompt, of what to move away from, and the frame rate.

    With `causal_frames` of more than one, latent frames form blocks of so many, and none attends to a later block.
    """

    prompt: Tensor
    negative: Tensor | None
    fps: int
    causal_frames: int = 1


def guided(
    dit: WanDiT,
    state: State,
    told: Told,
    guidance: float,
    shortcuts: Shortcuts = Shortcuts(),  # noqa: B008
    pair: Ranks | None = None,
) -> Field:
    """The field of one transformer: the prompt and its negative as one pack of two clips, or the prompt alone.

    With a `pair` of ranks each works on one of the two, and they exchange their answers.
    """
    texts = [told.prompt]
    if guidance != 1:
        assert told.negative is not None, "guidance needs what to move away from"
        texts.append(told.negative)
    patch, channels = dit.config.patch_size, state.latent_CTHW.shape[0]
    keys = dit.encode_text(texts, state.pictures_ISE)
    if shortcuts.cache:
        dit = with_step_cache(dit, StepCache(shortcuts.cache))
    levels_at, causal = _levels(state, patch), max(told.causal_frames, dit.config.num_frame_per_block)
    all_free = bool((state.scale_THW == 1).all())
    assert not state.references or patch[0] == 1, "a reference picture is one latent frame"

    def answers(x_CTHW: Tensor, sigma: float | Sequence[float], prompts: Sequence[int]) -> Sequence[Tensor]:
        seen_CTHW = x_CTHW if state.beside_CTHW is None else torch.cat([x_CTHW, state.beside_CTHW])
        clips = len(prompts)
        patches_LP, layout = pack([seen_CTHW] * clips, patch)
        if state.references:
            layout = replace(layout, references=(state.references,) * clips)
        if causal > 1:
            layout = replace(layout, causal_frames=causal)
        told_LP = dit(patches_LP, layout, levels_at(sigma).repeat(clips), keys.select(prompts), told.fps)
        return unpack(told_LP, layout, channels, patch)

    def velocity(x_CTHW: Tensor, sigma: float | Sequence[float]) -> Tensor:
        highest = sigma if isinstance(sigma, float) else max(sigma)
        prompts = range(len(texts)) if shortcuts.guides(highest) else range(1)
        if pair is not None and len(prompts) == 2:
            (own,) = answers(x_CTHW, sigma, (prompts[pair.rank],))
            parts: Sequence[Tensor] = pair.gather(own[None], [1, 1]).unbind()
        else:
            parts = answers(x_CTHW, sigma, prompts)
        v_CTHW = guide(parts[0], parts[1], guidance) if len(prompts) == 2 else parts[0]
        return v_CTHW if all_free else v_CTHW * state.scale_THW

    return velocity


def _levels(state: State, patch: tuple[int, int, int]) -> Callable[[float | Sequence[float]], Tensor]:
    """The level that each token frame or token is told, where the solver is at one level or at one of each frame."""
    scale_F = _by_frame(state.scale_THW, patch)
    scale = scale_F if scale_F is not None else _by_token(state.scale_THW, patch)

    def laid(levels: Tensor) -> Tensor:
        assert patch[0] == 1, "levels are of latent frames"
        return levels if scale_F is not None else levels.repeat_interleave(len(scale) // len(levels))

    looked = None if state.looked_T is None else laid(state.looked_T)

    def levels_at(sigma: float | Sequence[float]) -> Tensor:
        if isinstance(sigma, float):
            levels = scale * (timestep_of(sigma) / NUM_TIMESTEPS)
        else:
            levels = scale * laid(scale.new_tensor([timestep_of(each) / NUM_TIMESTEPS for each in sigma]))
        return levels if looked is None else levels + looked

    return levels_at


def _by_frame(scale_THW: Tensor, patch: tuple[int, int, int]) -> Tensor | None:
    """The scale of each token frame; None where it differs inside one."""
    frames = scale_THW[:: patch[0], 0, 0]
    same = (scale_THW == frames.repeat_interleave(patch[0])[:, None, None]).all()
    return frames if bool(same) else None


def _by_token(scale_THW: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """The scale of each token, frame by frame, row by row."""
    t, h, w = patch
    return scale_THW[::t, ::h, ::w].flatten()
