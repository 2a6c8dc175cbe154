"""One generation on several devices: who works on what, and how the first process leads the others.

Every process holds the model. The first one (rank 0) goes through the door and calls its backend as ever; each call is
told to the others, which make the same call on their own copy, so that all meet where tokens, guidance or rows are
exchanged. What they get is thrown away: rank 0 alone writes. The same seed gives the same starting noise on any number
of devices, as the noise is drawn on the processor.

What all of them raise alike (HibariError) ends a call everywhere; anything else ends its process, and torchrun the
rest. What several devices cannot do is refused before.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from hibari.catalog import Model
from hibari.config import Launch, Parallel
from hibari.errors import HibariError, InvalidRequest, OutputError
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

# What rank 0 says in the midst of a walk (GO, STOP) and of a decode (NEXT, CLOSE), and when all is done (END).
GO, STOP, NEXT, CLOSE, END = "go", "stop", "next", "close", "end"

PATIENCE = timedelta(hours=12)  # for a slow step, or for rank 0 at the door; torchrun sees to a process that is gone


class Stopped(Exception):
    """Rank 0 ended the walk that is under way."""


@dataclass(eq=False)
class Team:
    """The processes of one generation: pairs for guidance, groups for the sequence, and all of them for the VAE.

    `words` counts what rank 0 has told.
    """

    device: torch.device
    exchange: Exchange
    everyone: Ranks
    sequence: Ranks
    pair: Ranks | None
    words: int = 0

    @classmethod
    def join(cls, launch: Launch, device: torch.device, parallel: Parallel) -> "Team":
        """Meet the other processes; on one team guidance takes pairs where their number is even ("auto")."""
        if device.type == "cuda":
            torch.cuda.set_device(device)  # what is told goes by way of the current one
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        paired = parallel == "auto" and launch.size % 2 == 0
        half = launch.size // 2 if paired else launch.size
        # Every process takes part in making every group, its own or not.
        rows = [dist.new_group(range(start, start + half), timeout=PATIENCE) for start in range(0, launch.size, half)]
        pairs = [dist.new_group([place, place + half], timeout=PATIENCE) for place in range(half)] if paired else []
        return cls(
            device=device,
            exchange="ring" if parallel == "ring" else "ulysses",
            everyone=Ranks(),
            sequence=Ranks(rows[launch.rank // half]),
            pair=Ranks(pairs[launch.rank % half]) if paired else None,
        )

    def load(self, model: Model, dtype: torch.dtype) -> Generator:
        """A generator whose parts work on this process's share; raises BadWeights or InvalidRequest."""
        whole = Generator.load(model, self.device, dtype)
        parts = replace(
            whole.parts,
            experts=tuple(Part(partial(self._share_dit, expert)) for expert in whole.parts.experts),
            vae=Part(partial(self._share_vae, whole.parts.vae)),
        )
        return replace(whole, parts=parts, pair=self.pair)

    def tell(self, what: Any) -> None:
        """Rank 0 tells the others."""
        self.words += 1
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
        assert not plan.shortcuts.cache, "several devices have no step cache"
        self.team.tell(("make_latent", plan, prompt, tuple(conditions), noise_CTHW))

        def after(done: int) -> None:
            if on_step is not None:
                on_step(done)
            self.team.tell(GO)

        estimate = None if on_estimate is None else self._or_stop(on_estimate)
        return self.generator.make_latent(plan, prompt, conditions, self._or_stop(after), noise_CTHW, estimate)

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
        """As `Backend.decode`; no frame is made before it is asked for, nor after the iterator is closed.

        Another call ends it too. Raises OutputError where it breaks off: the others may be in the midst of a frame, so
        that it cannot go on in another way here.
        """
        assert fit is None or not fit.tile, "several devices share rows, and make no tiles"
        self.team.tell(("decode", latent_CTHW, fit))
        frames, said = self.generator.decode(latent_CTHW, fit), self.team.words
        try:
            while True:
                assert said == self.team.words, "another call came between"
                self.team.tell(NEXT)
                said = self.team.words
                try:
                    frame = next(frames, None)
                except (MemoryError, RuntimeError) as error:
                    said = 0  # nobody listens
                    raise OutputError(f"decoding broke off on one of several devices ({error}).") from error
                if frame is None:
                    return
                yield frame
        finally:
            if said == self.team.words:
                self.team.tell(CLOSE)

    def _or_stop(self, call: Callable[[Any], None]) -> Callable[[Any], None]:
        """The same callback; where it raises, the others end the walk as well."""

        def called(given: Any) -> None:
            try:
                call(given)
            except BaseException:
                self.team.tell(STOP)
                raise

        return called


def follow(team: Team) -> None:
    """Make the calls that rank 0 makes, until it says that it is over."""
    generator: Generator | None = None
    told = team.hear()
    while told != END:
        if told[0] == "load":
            generator = None  # one goes before another comes
            with suppress(HibariError):  # rank 0 says it
                generator = team.load(*told[1:])
            told = team.hear()
        else:
            assert generator is not None, "a model is loaded before it is used"
            told = _obey(team, generator, told)
    dist.destroy_process_group()


def _obey(team: Team, generator: Generator, told: tuple[Any, ...]) -> Any:
    """Make one call, and return what is told after it."""
    name, *given = told
    if name == "decode":
        frames = generator.decode(*given)
        while (said := team.hear()) == NEXT:
            next(frames, None)
        return team.hear() if said == CLOSE else said
    with suppress(Stopped, HibariError):  # rank 0 has raised it too, and says it
        if name == "make_latent":
            plan, prompt, conditions, noise_CTHW = given
            generator.make_latent(plan, prompt, conditions, partial(_await, team, generator), noise_CTHW)
        elif name == "encode_clip":
            generator.encode_clip(iter(given[0]))
        elif name == "encode_picture":
            generator.encode_picture(*given)
        else:
            assert name == "know_pictures", name
            generator.know_pictures(*given)
    return team.hear()


def _await(team: Team, generator: Generator, _: int) -> None:
    """Between two steps: make the previews that rank 0 makes, then go on or stop with it."""
    told = team.hear()
    while told != GO:
        if told == STOP:
            raise Stopped
        told = _obey(team, generator, told)
