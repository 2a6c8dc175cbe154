"""A loaded model that makes latents and decodes them. What to make is the plan's and the conditions' say.

Legend: C channels, T H W latent axes, B batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from hibari.catalog import Lora, Model
from hibari.flow.solver import SOLVERS, WALKS
from hibari.flow.times import NUM_TIMESTEPS, schedule, shift_for, timestep_of
from hibari.generate.backend import Prompt
from hibari.generate.conditions import BesideNoise, Condition, KnownFrames, State, apply_all
from hibari.generate.fit import Fit
from hibari.generate.loras import laid_on
from hibari.generate.parts import Part
from hibari.generate.plan import Plan
from hibari.generate.rolling import Way, roll, starts
from hibari.generate.velocity import Field, Told, guided
from hibari.machine import give_back_memory
from hibari.model.compiled import compile_blocks
from hibari.model.dit import WanDiT
from hibari.model.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from hibari.model.parallel import Ranks
from hibari.model.stored import Storage
from hibari.model.tiling import TiledState, decode_pieces, encode_tiles
from hibari.model.vae import WanVAE
from hibari.model.vae_layers import StreamState
from hibari.model.weights import load_dit, load_vae
from hibari.shapes import LatentShape, VideoShape

VEIL_SEED = 1  # is added to a request's seed for the noise through which a window's history is looked at


@dataclass(frozen=True, eq=False)
class Parts:
    """What a model is made of, each loaded when it is wanted; `image` is there where cross-attention sees pictures."""

    text: Part[TextEncoder]
    experts: tuple[Part[WanDiT], ...]
    vae: Part[WanVAE]
    image: Part[ImageEncoder] | None

    @classmethod
    def of(cls, model: Model, device: torch.device, dtype: torch.dtype, fit: Fit, *, compiled: bool) -> Self:
        """The parts of a model's folder; calling them raises BadWeights or MissingDependency."""

        def load_expert(name: str) -> WanDiT:
            dit = load_dit(places[name], device, dtype, storage)
            if compiled:
                compile_blocks(dit, device)
            return dit

        storage = Storage(kind=fit.storage, place=fit.place)
        places, sees_pictures = model.places, model.form.image_states != "none"
        return cls(
            text=Part(
                partial(load_text_encoder, places["text_encoder"], places["tokenizer"], device, dtype, fit.storage)
            ),
            experts=tuple(Part(partial(load_expert, name)) for name in model.form.experts),
            vae=Part(partial(load_vae, places["vae"], device, dtype)),
            image=Part(
                partial(load_image_encoder, places["image_encoder"], places.get("image_processor"), device, dtype)
            )
            if sees_pictures
            else None,
        )


@dataclass(frozen=True, eq=False)
class Generator:
    """The parts of one model on one device. Its methods change nothing in it.

    Parts are kept once they were used. Where not `keeps`, one large part is there at a time: encoders and VAE are let
    go before the walk, of two experts the one that is done before the other is loaded, both when the walk is over, and
    the VAE after what it decodes.
    A `pair` of ranks shares the work of guidance.
    """

    model: Model
    parts: Parts
    device: torch.device
    dtype: torch.dtype
    fit: Fit = Fit()
    pair: Ranks | None = None

    @classmethod
    def load(
        cls,
        model: Model,
        device: torch.device,
        dtype: torch.dtype,
        fit: Fit = Fit(),  # noqa: B008
        *,
        compiled: bool = False,
    ) -> Self:
        """Read a model's folder, all that is to stay of it; raises BadWeights or MissingDependency."""
        made = cls(model, Parts.of(model, device, dtype, fit, compiled=compiled), device, dtype, fit)
        for part in (made.parts.text, made.parts.image, *made.parts.experts, made.parts.vae) if made.keeps else ():
            if part is not None:
                part()
        return made

    @property
    def keeps(self) -> bool:
        """Whether all parts stay in memory."""
        return self.fit.offload == "none"

    @property
    def vae(self) -> WanVAE:
        return self.parts.vae()

    @property
    def num_threads(self) -> int:
        """Processor threads that torch uses; they are part of what makes numbers repeat."""
        return torch.get_num_threads()

    def in_way(self, fit: Fit) -> Self:
        """As `Backend.in_way`."""
        assert fit.held == self.fit.held, "it is held so already"
        return replace(self, fit=fit)

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

        `on_step(done)` is called after each of `plan.visits` steps, and `on_estimate(latent)` in each, with the clean
        latent (of a window, where the plan has some) as it is predicted there; what they raise ends the walk. The noise
        is drawn from the plan's seed unless given: all of it, or that of the first window.
        """
        shape = self.model.strides.latent(plan.render)
        shift = self._shift(plan.render) if plan.flow_shift is None else plan.flow_shift
        sigmas = schedule(plan.steps, shift)

        def after(index: int, _: Tensor) -> None:
            if on_step is not None:
                on_step(index + 1)

        if not self.keeps:  # what had to be encoded is
            self.parts.vae.release()
        told = self._told(plan, prompt)
        with self._for_now(*self.parts.experts), ExitStack() as laid:

            def field_of(state: State) -> Field:
                field, count = self._field(plan, state, told, laid), state.latent_CTHW.shape[1] - state.references
                return field if on_estimate is None else _watched(field, lambda clean: on_estimate(clean[:, :count]))

            if plan.windows:
                way = self._way(plan, sigmas.tolist())
                made_CTHW = roll(way, starts(shape, conditions, plan.seed, self.device, noise_CTHW), field_of, on_step)
            else:
                noise_CTHW = draw_noise(plan.seed, shape) if noise_CTHW is None else noise_CTHW
                state = apply_all(conditions, State.from_noise(noise_CTHW.to(self.device, torch.float32)))
                walked_CTHW = SOLVERS[plan.solver](field_of(state), state.latent_CTHW, sigmas, after)
                made_CTHW = walked_CTHW[:, : shape.frames]
        give_back_memory()
        return made_CTHW

    @torch.inference_mode()
    def encode_picture(self, frame: np.ndarray) -> Tensor:
        """The latent (C,1,H,W) of one picture, uint8 (height, width, 3) at a render size."""
        mean_BCTHW, _ = self.vae.encode(self._pixels([frame]))
        return self.vae.normalise(mean_BCTHW.float())[0]

    def encode_clip(self, frames: Iterator[np.ndarray]) -> Tensor:
        """The latent (C,T,H,W) of 4n+1 frames, uint8 (height, width, 3) at a render size, in constant memory."""
        return self._encode(self._pixels(batch) for batch in _batches(frames, self.model.strides.time))

    @torch.inference_mode()
    def know_pictures(
        self, plan: Plan, start: np.ndarray, end: np.ndarray | None = None, level: float = 0.0
    ) -> tuple[Condition, ...]:
        """What start and end image are to this model; frames are uint8 (height, width, 3) at a render size.

        `level` says how far the start image may be redrawn; a model that takes it as channels keeps it.
        """
        if self.model.form.start == "tokens":
            last = self.model.strides.latent(plan.render).frames - 1
            known = [KnownFrames(self.encode_picture(start), level=level)]
            known += [KnownFrames(self.encode_picture(end), start=last)] if end is not None else []
            return tuple(known)
        assert not level, "the plan has refused it"
        pictures_ISE = None
        if self.parts.image is not None:
            with self._for_now(self.parts.image):
                pictures_ISE = self.parts.image().encode([start] if end is None else [start, end])
        known_CTHW = self._encode(self._ends(plan.render.frames, start, end))
        mask_CTHW = known_CTHW.new_zeros(self.model.strides.time, *known_CTHW.shape[1:])
        mask_CTHW[:, 0] = 1
        if end is not None:
            mask_CTHW[-1, -1] = 1
        return (BesideNoise(torch.cat([mask_CTHW, known_CTHW]), pictures_ISE),)

    def decode(self, latent_CTHW: Tensor, fit: Fit | None = None) -> Iterator[np.ndarray]:
        """The frames of a latent, one by one, uint8 (height, width, 3), as the `fit` says.

        In constant memory, unless they are decoded by tile: then all are there before the first is given.
        """
        fit = fit or self.fit
        with self._for_now(self.parts.vae):
            latent_BCTHW = self.vae.denormalise(latent_CTHW[None].to(self.device)).to(self.dtype)
            pieces = decode_pieces(self.vae, latent_BCTHW.split(fit.frames, dim=2), fit.tile, fit.by_tile)
            while True:
                with torch.inference_mode():
                    video_BCTHW = next(pieces, None)
                    if video_BCTHW is None:
                        return
                    frames = ((video_BCTHW[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
                yield from frames.permute(1, 2, 3, 0).contiguous().cpu().numpy()

    def _pixels(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Frames as the VAE takes them: (1, 3, T, height, width) in [-1, 1]."""
        pixels = torch.from_numpy(np.stack(frames)).to(self.device).permute(3, 0, 1, 2)[None]
        return (pixels.float() / 127.5 - 1).to(self.dtype)

    def _shift(self, render: VideoShape) -> float:
        """The timestep shift for this size; where it grows, that of the scheduler's config is for the default size."""
        if not self.model.card.shift_grows:
            return self.model.flow_shift
        default, area = self.model.card.sizes[0], render.height * render.width
        return shift_for(area, base_tokens=default.width * default.height, base_shift=self.model.flow_shift)

    def _ends(self, frames: int, start: np.ndarray, end: np.ndarray | None) -> Iterator[Tensor]:
        """A video of which the first frame and the last one are there, and grey between, as a VAE's stream takes it."""
        first = self._pixels([start])
        yield first
        for stop in range(1 + self.model.strides.time, frames + 1, self.model.strides.time):
            chunk = first.new_zeros(*first.shape[:2], self.model.strides.time, *first.shape[3:])
            if end is not None and stop == frames:
                chunk[:, :, -1:] = self._pixels([end])
            yield chunk

    @torch.inference_mode()
    def _encode(self, chunks: Iterator[Tensor]) -> Tensor:
        tile, state, tiles, parts = self.fit.tile, StreamState(), TiledState(), []
        for chunk in chunks:
            encoded = encode_tiles(self.vae, chunk, tiles, tile) if tile else self.vae.encode_chunk(chunk, state)
            mean_BCTHW, _ = encoded
            parts.append(self.vae.normalise(mean_BCTHW.float())[0])
        return torch.cat(parts, dim=1)

    def _told(self, plan: Plan, prompt: Prompt) -> Told:
        negative = None
        with self._for_now(self.parts.text):
            (states,) = self.parts.text().encode([prompt.text])
            if any(guidance != 1 for guidance in plan.guidances):
                (negative,) = self.parts.text().encode([prompt.negative], option="negative")
        rolling = self.model.card.rolling if plan.windows else None
        return Told(states, negative, self.model.card.fps, rolling.block if rolling is not None else 1)

    def _way(self, plan: Plan, sigmas: list[float]) -> Way:
        rolling = self.model.card.rolling
        assert rolling is not None, "the windows are planned by it"
        return Way(
            windows=plan.windows, rolling=rolling, sigmas=sigmas, start=WALKS[plan.solver], seed=plan.seed + VEIL_SEED
        )

    def _field(self, plan: Plan, state: State, told: Told, laid: ExitStack) -> Field:
        """The field that the solver walks: of each level, that of its expert, with its LoRAs laid on meanwhile."""
        last, fields = self.model.form.boundary * NUM_TIMESTEPS, dict[int, Field]()
        noisiest = float(state.scale_THW.max())  # of a clip that is redrawn no token is ever at the solver's own level

        def velocity(x_CTHW: Tensor, sigma: float | Sequence[float]) -> Tensor:
            number = int(noisiest * timestep_of(sigma if isinstance(sigma, float) else max(sigma)) < last)
            if number not in fields:
                fields.clear()
                laid.close()
                for other in self.parts.experts:
                    if other is not self.parts.experts[number] and not self.keeps:
                        other.release()
                dit = self.parts.experts[number]()
                laid.enter_context(laid_on(dit, self._loras(plan, number)))
                fields[number] = guided(dit, state, told, plan.guidances[number], plan.shortcuts, self.pair)
            return fields[number](x_CTHW, sigma)

        return velocity

    @contextmanager
    def _for_now(self, *parts: Part[Any]) -> Iterator[None]:
        """Parts that are let go after this, whatever ends it, where not all are kept."""
        try:
            yield
        finally:
            for part in parts if not self.keeps else ():
                part.release()

    def _loras(self, plan: Plan, number: int) -> list[Lora]:
        name = ("high", "low")[number] if len(self.parts.experts) > 1 else ""
        return [lora for lora in plan.laid_on if not name or lora.expert in ("", name)]


def _watched(field: Field, on_estimate: Callable[[Tensor], None]) -> Field:
    """The same field, which tells at each visit what the clean sample is predicted to be: x - sigma v."""

    def watched(x: Tensor, sigma: float | Sequence[float]) -> Tensor:
        v = field(x, sigma)
        level = sigma if isinstance(sigma, float) else x.new_tensor(sigma)[:, None, None]
        on_estimate(x - level * v.to(x.dtype))
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
