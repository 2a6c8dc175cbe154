"""A loaded model that makes latents and decodes them. What to make is the plan's and the conditions' say.

Legend: C channels, T H W latent axes, L tokens, F latent frames of a pack, B batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

import numpy as np
import torch
from torch import Tensor

from hibari.catalog import Model
from hibari.flow.guidance import guide
from hibari.flow.solver import SOLVERS, Velocity
from hibari.flow.times import NUM_TIMESTEPS, schedule, shift_for, timestep_of
from hibari.generate.backend import Prompt
from hibari.generate.conditions import Condition, State, apply_all
from hibari.generate.loras import laid_on
from hibari.generate.plan import Plan
from hibari.model.dit import WanDiT
from hibari.model.packing import pack, unpack
from hibari.model.text import MiniLMTextEncoder
from hibari.model.text_keys import TextKeys
from hibari.model.vae import StreamState, WanVAE
from hibari.model.weights import load_dit, load_vae
from hibari.shapes import LatentShape, VideoShape

DECODED_AT_ONCE = 2  # latent frames; more is a little faster and takes more memory


@dataclass(frozen=True, eq=False)
class Generator:
    """Text encoder, transformer and VAE of one model on one device. Its methods change nothing in it."""

    model: Model
    text: MiniLMTextEncoder
    dit: WanDiT
    vae: WanVAE
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(cls, model: Model, device: torch.device, dtype: torch.dtype) -> Self:
        """Read a model's folder; raises BadWeights."""
        return cls(
            model=model,
            text=MiniLMTextEncoder.load(model.folder, device=device),
            dit=load_dit(model.folder / "transformer", device, dtype),
            vae=load_vae(model.folder / "vae", device, dtype),
            device=device,
            dtype=dtype,
        )

    @property
    def num_threads(self) -> int:
        """Processor threads that torch uses; they are part of what makes numbers repeat."""
        return torch.get_num_threads()

    @torch.inference_mode()
    def make_latent(
        self,
        plan: Plan,
        prompt: Prompt,
        conditions: Sequence[Condition] = (),
        on_step: Callable[[int], None] | None = None,
        noise_CTHW: Tensor | None = None,
        on_estimate: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Walk from noise to a latent (C,T,H,W), float32, as the transformer sees latents.

        `on_step(done)` is called after each of `plan.steps` steps, and `on_estimate(latent)` in each, with the clean
        latent as it is predicted there; what they raise ends the walk. The noise is drawn from the plan's seed unless
        given.
        """
        shape = self.model.strides.latent(plan.render)
        noise_CTHW = draw_noise(plan.seed, shape) if noise_CTHW is None else noise_CTHW
        state = apply_all(conditions, State.from_noise(noise_CTHW.to(self.device, torch.float32)))
        shift = self._shift(plan.render) if plan.flow_shift is None else plan.flow_shift
        sigmas = schedule(plan.steps, shift)

        def after(index: int, _: Tensor) -> None:
            if on_step is not None:
                on_step(index + 1)

        with laid_on(self.dit, plan.loras):
            velocity = self._velocity(state, self._text_keys(prompt, plan.guidance), plan.guidance)
            if on_estimate is not None:
                velocity = _watched(velocity, lambda clean_CTHW: on_estimate(clean_CTHW[:, : shape.frames]))
            return SOLVERS[plan.solver](velocity, state.latent_CTHW, sigmas, after)[:, : shape.frames]

    @torch.inference_mode()
    def encode_picture(self, frame: np.ndarray) -> Tensor:
        """The latent (C,1,H,W) of one picture, uint8 (height, width, 3) at a render size."""
        mean_BCTHW, _ = self.vae.encode(self._pixels([frame]))
        return self.vae.normalise(mean_BCTHW.float())[0]

    @torch.inference_mode()
    def encode_clip(self, frames: Iterator[np.ndarray]) -> Tensor:
        """The latent (C,T,H,W) of 4n+1 frames, uint8 (height, width, 3) at a render size, in constant memory."""
        state, parts = StreamState(), []
        for batch in _batches(frames, self.model.strides.time):
            mean_BCTHW, _ = self.vae.encode_chunk(self._pixels(batch), state)
            parts.append(self.vae.normalise(mean_BCTHW.float())[0])
        return torch.cat(parts, dim=1)

    def decode(self, latent_CTHW: Tensor) -> Iterator[np.ndarray]:
        """The frames of a latent, one by one, uint8 (height, width, 3), in constant memory."""
        state = StreamState()
        for part in self.vae.denormalise(latent_CTHW[None]).to(self.dtype).split(DECODED_AT_ONCE, dim=2):
            with torch.inference_mode():
                video_BCTHW = self.vae.decode_chunk(part, state).float()
                frames = ((video_BCTHW[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            yield from frames.permute(1, 2, 3, 0).contiguous().cpu().numpy()

    def _pixels(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Frames as the VAE takes them: (1, 3, T, height, width) in [-1, 1]."""
        pixels = torch.from_numpy(np.stack(frames)).to(self.device).permute(3, 0, 1, 2)[None]
        return (pixels.float() / 127.5 - 1).to(self.dtype)

    def _shift(self, render: VideoShape) -> float:
        """The timestep shift for this size; the one in the scheduler's config is for the default size."""
        default, area = self.model.card.sizes[0], render.height * render.width
        return shift_for(area, base_tokens=default.width * default.height, base_shift=self.model.flow_shift)

    def _text_keys(self, prompt: Prompt, guidance: float) -> TextKeys:
        states = self.text.encode([prompt.text])
        if guidance != 1:
            states += self.text.encode([prompt.negative], option="negative")
        return self.dit.encode_text(states)

    def _velocity(self, state: State, keys: TextKeys, guidance: float) -> Velocity:
        """The velocity field that the solver walks: the prompt and its negative as one pack of two clips."""
        clips = 1 if guidance == 1 else 2
        patch, channels = self.model.strides.patch, state.latent_CTHW.shape[0]
        scale_F = _by_frame(state.scale_THW, patch)
        scale = scale_F if scale_F is not None else _by_token(state.scale_THW, patch)
        all_free = bool((state.scale_THW == 1).all())
        assert not state.references or patch[0] == 1, "a reference picture is one latent frame"

        def velocity(x_CTHW: Tensor, sigma: float) -> Tensor:
            patches_LP, layout = pack([x_CTHW] * clips, patch)
            if state.references:
                layout = replace(layout, references=(state.references,) * clips)
            levels = (scale * (timestep_of(sigma) / NUM_TIMESTEPS)).repeat(clips)
            parts = unpack(self.dit(patches_LP, layout, levels, keys), layout, channels, patch)
            v_CTHW = parts[0] if clips == 1 else guide(parts[0], parts[1], guidance)
            return v_CTHW if all_free else v_CTHW * state.scale_THW

        return velocity


def _watched(velocity: Velocity, on_estimate: Callable[[Tensor], None]) -> Velocity:
    """The same field, which tells at each visit what the clean sample is predicted to be: x - sigma v."""

    def watched(x: Tensor, sigma: float) -> Tensor:
        v = velocity(x, sigma)
        on_estimate(x - sigma * v.to(x.dtype))
        return v

    return watched


def draw_noise(seed: int, shape: LatentShape) -> Tensor:
    """Starting noise (C,T,H,W), float32: drawn on the CPU, so that a seed means the same on every device."""
    return torch.randn(tuple(shape), generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)


def _batches(frames: Iterator[np.ndarray], time: int) -> Iterator[list[np.ndarray]]:
    """The first frame alone and then `time` at once, as a VAE's stream takes them."""
    for first in frames:
        yield [first]
        break
    while batch := list(islice(frames, time)):
        yield batch


def _by_frame(scale_THW: Tensor, patch: tuple[int, int, int]) -> Tensor | None:
    """The scale of each token frame; None where it differs inside one."""
    frames = scale_THW[:: patch[0], 0, 0]
    same = (scale_THW == frames.repeat_interleave(patch[0])[:, None, None]).all()
    return frames if bool(same) else None


def _by_token(scale_THW: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """The scale of each token, frame by frame, row by row."""
    t, h, w = patch
    return scale_THW[::t, ::h, ::w].flatten()
