"""One sequence of tokens over several devices, laid on a transformer from outside.

Each rank holds a stretch of every clip's tokens. All layers work token by token but self-attention, where the ranks
exchange: `ulysses` turns stretches of all heads into all tokens of some heads and back (Jacobs et al. 2023, arXiv
2309.14509); `ring` passes keys and values on from rank to rank and merges what each part gives (Liu et al. 2023, arXiv
2310.01889). Which ranks there are, and who starts them, is not this room's matter. Inference only.

Legend: B clips, L tokens of all ranks, S tokens of this rank, N heads, K head width, D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from math import prod
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hibari.model.attention import Attend, attend, attend_in_part
from hibari.model.modulation import TokenRows

Exchange = Literal["ulysses", "ring"]


@dataclass(frozen=True, kw_only=True)
class SequencePlan:
    """Where a transformer's sequence may be split, as the model states it.

    Between the entrance of the first of its `blocks` and the exit of the last, a token meets others through
    `attend` of its run's inputs alone. `tokens`, `rows` and `runs` are the places of these among a block's arguments.
    """

    blocks: str
    tokens: int
    rows: int
    runs: int


@dataclass(frozen=True)
class Ranks:
    """The processes that share a piece of work; `group` None is all of them."""

    group: dist.ProcessGroup | None = None

    @property
    def rank(self) -> int:
        return dist.get_rank(self.group)

    @property
    def size(self) -> int:
        return dist.get_world_size(self.group)

    def parts(self, total: int) -> list[slice]:
        """`total` things in order, over all ranks; the first ranks have one more where they do not divide."""
        sizes = [total // self.size + (rank < total % self.size) for rank in range(self.size)]
        return [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]

    def exchange(self, parts: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """Give part i to rank i, and take what each rank gives, of these shapes and the same dtype."""
        width = parts[0].element_size()
        sent = torch.cat([part.contiguous().flatten().view(torch.uint8) for part in parts])
        sizes = [prod(shape) * width for shape in shapes]
        taken = sent.new_empty(sum(sizes))
        dist.all_to_all_single(taken, sent, sizes, [part.numel() * width for part in parts], group=self.group)
        pieces = zip(taken.split(sizes), shapes, strict=True)
        return [piece.view(parts[0].dtype).view(shape) for piece, shape in pieces]

    def gather(self, part: Tensor, sizes: Sequence[int], dim: int = 0) -> Tensor:
        """The parts of all ranks in order; they differ along `dim` alone, where they have these sizes."""
        shapes = [(*part.shape[:dim], size, *part.shape[dim + 1 :]) for size in sizes]
        return torch.cat(self.exchange([part] * self.size, shapes), dim=dim)


def split_sequence(model: nn.Module, plan: SequencePlan, ranks: Ranks, exchange: Exchange) -> None:
    """Make the blocks of a model work on this rank's tokens; inputs and outputs stay whole, and equal on all ranks."""
    blocks = getattr(model, plan.blocks)
    split = _Split(plan, ranks, {"ulysses": ulysses, "ring": ring}[exchange])
    blocks[0].register_forward_pre_hook(split.enter)
    for block in blocks:
        block.register_forward_pre_hook(split.localise)
    blocks[-1].register_forward_hook(split.leave)


@dataclass(eq=False)
class _Split:
    """How the blocks of one model are split, and this rank's part of their inputs in the pass under way."""

    plan: SequencePlan
    ranks: Ranks
    exchange: Callable[..., Tensor]
    rows: TokenRows | None = None
    runs: Sequence[Any] = ()
    token_parts: Sequence[Tensor] = ()  # for each rank, its tokens' places in the whole sequence

    def enter(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """This rank's tokens; its part of everything else is kept for the blocks."""
        given, plan = list(inputs), self.plan
        x_LD, runs = given[plan.tokens], given[plan.runs]
        self.token_parts = self._places(runs, x_LD.device)
        mine = self.token_parts[self.ranks.rank]
        self.rows = TokenRows((), given[plan.rows].index(x_LD.device)[mine])
        self.runs = [self._of_run(run) for run in runs]
        given[plan.tokens] = x_LD[mine]
        return tuple(given)

    def localise(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """A block's inputs, with this rank's rows and runs."""
        given = list(inputs)
        given[self.plan.rows], given[self.plan.runs] = self.rows, self.runs
        return tuple(given)

    def leave(self, _: nn.Module, __: tuple[Any, ...], x_SD: Tensor) -> Tensor:
        """The tokens of all ranks, in order."""
        whole = self.ranks.gather(x_SD, [len(places) for places in self.token_parts])
        x_LD = torch.empty_like(whole)
        x_LD[torch.cat(list(self.token_parts))] = whole
        self.rows, self.runs, self.token_parts = None, (), ()
        return x_LD

    def _of_run(self, run: Any) -> Any:
        clips, tokens = run.shape
        parts = self.ranks.parts(tokens)
        mine = parts[self.ranks.rank]
        meet = partial(self.exchange, ranks=self.ranks, parts=parts, inner=run.attend or attend)
        shape = (clips, mine.stop - mine.start)
        return replace(run, shape=shape, rotations_LJ=run.rotations_LJ[mine], attend=meet)

    def _places(self, runs: Sequence[Any], device: torch.device) -> list[Tensor]:
        places: list[list[Tensor]] = [[] for _ in range(self.ranks.size)]
        start = 0
        for run in runs:
            clips, tokens = run.shape
            by_clip = torch.arange(start, start + clips * tokens, device=device).view(clips, tokens)
            for own, part in zip(places, self.ranks.parts(tokens), strict=True):
                own.append(by_clip[:, part].flatten())
            start += clips * tokens
        return [torch.cat(own) for own in places]


def ulysses(
    q_BSNK: Tensor, k_BSNK: Tensor, v_BSNK: Tensor, *, scale: float, ranks: Ranks, parts: list[slice], inner: Attend
) -> Tensor:
    """Attention (B,S,N,K) over the tokens of all ranks, each rank working on some of the heads."""
    qkv = torch.stack([q_BSNK, k_BSNK, v_BSNK])
    _, clips, own, num_heads, width = qkv.shape
    heads = ranks.parts(num_heads)
    mine = heads[ranks.rank].stop - heads[ranks.rank].start
    assert all(part.stop > part.start for part in heads), f"{num_heads} heads over {ranks.size} ranks: take the ring"
    lengths = [part.stop - part.start for part in parts]
    taken = ranks.exchange([qkv[:, :, :, part] for part in heads], [(3, clips, n, mine, width) for n in lengths])
    out = inner(*torch.cat(taken, dim=2), scale=scale)
    shapes = [(clips, own, part.stop - part.start, width) for part in heads]
    return torch.cat(ranks.exchange([out[:, part] for part in parts], shapes), dim=2)


def ring(
    q_BSNK: Tensor, k_BSNK: Tensor, v_BSNK: Tensor, *, scale: float, ranks: Ranks, parts: list[slice], inner: Attend
) -> Tensor:
    """Attention (B,S,N,K) over the tokens of all ranks; keys and values go round while the last ones are worked on."""
    assert inner is attend, "in a ring every token looks at all others"
    held = torch.stack([k_BSNK, v_BSNK]).contiguous()
    out = sums = None
    for turn in range(ranks.size):
        following, pending = None, []
        if turn < ranks.size - 1:
            coming = parts[(ranks.rank - turn - 1) % ranks.size]
            following = held.new_empty(2, held.shape[1], coming.stop - coming.start, *held.shape[3:])
            pending = _pass_on(held, following, ranks)
        part, part_sums = attend_in_part(q_BSNK, held[0], held[1], scale)
        if out is None or sums is None:
            out, sums = part, part_sums
        else:
            both = torch.logaddexp(sums, part_sums)
            out, sums = out * (sums - both).exp() + part * (part_sums - both).exp(), both
        for each in pending:
            each.wait()
        held = held if following is None else following
    assert out is not None
    return out.to(q_BSNK.dtype)


def _pass_on(held: Tensor, following: Tensor, ranks: Ranks) -> list[Any]:
    """Start to send what is held to the next rank, and to take what the one before it held."""
    group = ranks.group or dist.group.WORLD
    assert group is not None
    after, before = (dist.get_global_rank(group, (ranks.rank + step) % ranks.size) for step in (1, -1))
    sent = dist.P2POp(dist.isend, held.view(torch.uint8), after, ranks.group)
    taken = dist.P2POp(dist.irecv, following.view(torch.uint8), before, ranks.group)
    return list(dist.batch_isend_irecv([sent, taken]))
