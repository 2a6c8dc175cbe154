"""One generation on several devices: who works on what, and how the first process leads the others.

Every process holds the model. The first one (rank 0) goes through the door and calls its backend as ever; each call is
told to the others, which make the same call on their own copy, so that all meet where tokens, guidance or rows are
exchanged. What they get is thrown away: rank 0 alone writes. The same seed gives the same starting noise on any number
of devices, as the noise is drawn on the processor.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from hibari.catalog import Model
from hibari.config import Launch, Parallel
from hibari.errors import InvalidRequest
from hibari.generate.backend import Prompt
from hibari.generate.conditions import Condition
from hibari.generate.fit import Fit
from hibari.generate.generator import Generator
from hibari.generate.parts import Part
from hibari.generate.plan import Plan
from hibari.model.dit import WanDiT
from hibari.model.parallel import Exchange, Ranks, split_sequence
from hibari.model.parallel_vae import split_rows
from hibari.model.vae import WanVAE

GO, STOP, END = "go", "stop", "end"


class Stopped(Exception):
    """Rank 0 ended the call that is under way."""


@dataclass(frozen=True)
class Team:
    """The processes of one generation: pairs for guidance, groups for the sequence, and all of them for the VAE."""

    device: torch.device
    exchange: Exchange
    everyone: Ranks
    sequence: Ranks
    pair: Ranks | None

    @classmethod
    def join(cls, launch: Launch, device: torch.device, parallel: Parallel) -> "Team":
        """Meet the other processes; on one team guidance takes pairs where their number is even ("auto")."""
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        paired = parallel == "auto" and launch.size % 2 == 0
        half = launch.size // 2 if paired else launch.size
        # Every process takes part in making every group, its own or not.
        rows = [dist.new_group(range(start, start + half)) for start in range(0, launch.size, half)]
        pairs = [dist.new_group([place, place + half]) for place in range(half)] if paired else []
        return cls(
            device=device,
            exchange="ring" if parallel == "ring" else "ulysses",
            everyone=Ranks(),
            sequence=Ranks(rows[launch.rank // half]),
            pair=Ranks(pairs[launch.rank % half]) if paired else None,
        )

    def load(self, model: Model, dtype: torch.dtype) -> Generator:
        """A generator whose parts work on this process's share; raises BadWeights or InvalidRequest."""
        if model.form.backend != "native":
            raise InvalidRequest(f"{model.name} runs on one device.", option="model", hint="Start it without torchrun.")
        whole = Generator.load(model, self.device, dtype)
        parts = replace(
            whole.parts,
            experts=tuple(Part(partial(self._share_dit, expert)) for expert in whole.parts.experts),
            vae=Part(partial(self._share_vae, whole.parts.vae)),
        )
        return replace(whole, parts=parts, pair=self.pair)

    def tell(self, what: Any) -> None:
        """Rank 0 tells the others."""
        written = io.BytesIO()
        torch.save(what, written)
        dist.broadcast_object_list([written.getvalue()], src=0)

    def end(self) -> None:
        """Let the others go; rank 0 is done."""
        self.tell(END)
        dist.destroy_process_group()

    def hear(self) -> Any:
        """What rank 0 tells; tensors come onto this process's device."""
        told: list[Any] = [None]
        dist.broadcast_object_list(told, src=0)
        # Written by rank 0 of this very run, and never a file.
        return torch.load(io.BytesIO(told[0]), map_location=self.device, weights_only=False)

    def _share_dit(self, part: Part[WanDiT]) -> WanDiT:
        dit = part()
        heads = dit.config.num_attention_heads
        if self.exchange == "ulysses" and self.sequence.size > heads:
            raise InvalidRequest(
                f"{heads} heads, and {self.sequence.size} devices share them.", option="parallel", hint="Use ring."
            )
        if self.sequence.size > 1:
            split_sequence(dit, dit.sequence_plan, self.sequence, self.exchange)
        return dit

    def _share_vae(self, part: Part[WanVAE]) -> WanVAE:
        vae = part()
        split_rows(vae, self.everyone)
        return vae


@dataclass(frozen=True, eq=False)
class Lead:
    """The backend of rank 0: each call is made here and, told to the others, there."""

    team: Team
    generator: Generator

    @classmethod
    def load(cls, team: Team, model: Model, dtype: torch.dtype) -> "Lead":
        """Load the model in all processes; raises BadWeights or InvalidRequest."""
        team.tell(("load", model, dtype))
        return cls(team, team.load(model, dtype))

    @property
    def model(self) -> Model:
        return self.generator.model

    @property
    def device(self) -> torch.device:
        return self.generator.device

    @property
    def dtype(self) -> torch.dtype:
        return self.generator.dtype

    @property
    def num_threads(self) -> int:
        """Processor threads that torch uses in each process."""
        return self.generator.num_threads

    def make_latent(
        self,
        plan: Plan,
        prompt: Prompt,
        conditions: Sequence[Condition] = (),
        on_step: Callable[[int], None] | None = None,
        noise_CTHW: Tensor | None = None,
        on_estimate: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """As `Backend.make_latent`; what the callbacks raise ends the walk in all processes."""
        if plan.shortcuts.cache:
            raise InvalidRequest("several devices have no step cache.", option="cache", hint="Leave it out.")
        rows = self.model.strides.latent(plan.render).height
        if rows < self.team.everyone.size:
            raise InvalidRequest(f"{rows} rows of latents for {self.team.everyone.size} devices.", option="size")
        self.team.tell(("make_latent", plan, prompt, tuple(conditions), noise_CTHW))

        def after(done: int) -> None:
            try:
                if on_step is not None:
                    on_step(done)
            except BaseException:
                self.team.tell(STOP)
                raise
            self.team.tell(GO)

        return self.generator.make_latent(plan, prompt, conditions, after, noise_CTHW, on_estimate)

    def in_way(self, fit: Fit) -> "Lead":
        """As `Backend.in_way`: whole frames alone are shared."""
        assert fit == Fit(), "several devices are given no other"
        return self

    def encode_picture(self, frame: np.ndarray) -> Tensor:
        """As `Backend.encode_picture`."""
        self.team.tell(("encode_picture", frame))
        return self.generator.encode_picture(frame)

    def know_pictures(
        self, plan: Plan, start: np.ndarray, end: np.ndarray | None = None, level: float = 0.0
    ) -> tuple[Condition, ...]:
        """As `Backend.know_pictures`."""
        self.team.tell(("know_pictures", plan, start, end, level))
        return self.generator.know_pictures(plan, start, end, level)

    def encode_clip(self, frames: Iterator[np.ndarray]) -> Tensor:
        """As `Backend.encode_clip`; the frames are held until all processes have them."""
        held = list(frames)
        self.team.tell(("encode_clip", held))
        return self.generator.encode_clip(iter(held))

    def decode(self, latent_CTHW: Tensor, fit: Fit | None = None) -> Iterator[np.ndarray]:
        """As `Backend.decode`; no frame is made before it is asked for, nor after the iterator is closed."""
        if fit is not None and fit.tile:
            raise InvalidRequest("several devices share rows, and make no tiles.", option="parallel")
        self.team.tell(("decode", latent_CTHW, fit))
        frames = self.generator.decode(latent_CTHW, fit)
        try:
            while True:
                self.team.tell(GO)
                frame = next(frames, None)
                if frame is None:
                    return
                yield frame
        finally:
            self.team.tell(STOP)


def follow(team: Team) -> None:
    """Make the calls that rank 0 makes, until it says that it is over."""
    generator: Generator | None = None
    while (told := team.hear()) != END:
        if told[0] == "load":
            generator = None  # one goes before another comes
            generator = team.load(*told[1:])
            continue
        assert generator is not None, "a model is loaded before it is used"
        _obey(team, generator, told)
    dist.destroy_process_group()


def _obey(team: Team, generator: Generator, told: tuple[Any, ...]) -> None:
    name, *given = told
    if name == "decode":
        frames = generator.decode(*given)
        while team.hear() == GO:
            next(frames, None)
    elif name == "make_latent":
        plan, prompt, conditions, noise_CTHW = given
        try:
            generator.make_latent(plan, prompt, conditions, partial(_await, team, generator), noise_CTHW)
        except Stopped:
            return
    elif name == "encode_clip":
        generator.encode_clip(iter(given[0]))
    elif name == "encode_picture":
        generator.encode_picture(*given)
    else:
        assert name == "know_pictures", name
        generator.know_pictures(*given)


def _await(team: Team, generator: Generator, _: int) -> None:
    """Between two steps: make the previews that rank 0 makes, then go on or stop with it."""
    while (told := team.hear()) != GO:
        if told == STOP:
            raise Stopped
        _obey(team, generator, told)
