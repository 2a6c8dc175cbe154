"""The latent cache: what is written comes back, and packs drawn from it. About 1 s."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from hibari.data.latents import LatentPart, load_parts, save_part
from hibari.data.plan import PackPlan, draw_pack
from hibari.errors import TrainingError
from hibari.shapes import Grid


def write(folder: Path, name: str, clips: int, frames: int, *, references: bool = False) -> None:
    latents = torch.randn(clips, 4, frames, 2, 3)
    states = [torch.full((2 + i % 3, 5), float(i)) for i in range(2 * clips)]
    pictures = torch.randn(clips, 4, 1, 2, 3) if references else None
    save_part(folder / f"{name}.safetensors", latents, pictures, states, [{"n": i} for i in range(clips)])


def test_round_trip(tmp_path: Path) -> None:
    write(tmp_path, "a", clips=3, frames=2, references=True)
    (part,) = load_parts(tmp_path)
    assert part.grid == Grid(2, 2, 3) and part.captions_each == 2
    assert part.latents.dtype == torch.bfloat16 and part.references is not None
    assert part.states(2, 1).shape == (4, 5) and (part.states(2, 1) == 5).all()
    assert part.labels[1] == {"n": 1}


def test_nothing_cached(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no cached latents"):
        load_parts(tmp_path)


@pytest.fixture
def parts(tmp_path: Path) -> list[LatentPart]:
    write(tmp_path, "pictures", clips=20, frames=1)
    write(tmp_path, "clips", clips=20, frames=5, references=True)
    write(tmp_path, "long", clips=5, frames=9)
    return load_parts(tmp_path)


PLAN = PackPlan(tokens=600, frames_share=((1, 0.5), (9, 0.5)), reference_share=0.5, grids=2)


def test_a_step_is_a_pure_function_of_seed_and_number(parts: list[LatentPart]) -> None:
    assert draw_pack(parts, PLAN, 1, 7) == draw_pack(parts, PLAN, 1, 7)
    assert draw_pack(parts, PLAN, 1, 7) != draw_pack(parts, PLAN, 1, 8)
    assert draw_pack(parts, PLAN, 1, 7) != draw_pack(parts, PLAN, 2, 7)


def test_tokens_are_shared_as_told_and_equal_grids_stand_together(parts: list[LatentPart]) -> None:
    draws = draw_pack(parts, PLAN, 1, 0)
    tokens = [parts[d.part].grid.tokens for d in draws]
    assert sum(tokens) <= PLAN.tokens
    pictures = sum(t for d, t in zip(draws, tokens, strict=True) if parts[d.part].grid.frames == 1)
    assert pictures == 300
    kinds = [(parts[d.part].grid, d.reference) for d in draws]
    assert len(set(kinds)) == 1 + sum(a != b for a, b in pairwise(kinds))


def test_references_only_where_there_are_some(parts: list[LatentPart]) -> None:
    draws = [d for step in range(50) for d in draw_pack(parts, PLAN, 3, step)]
    assert all(parts[d.part].references is not None for d in draws if d.reference)
    with_pictures = [d for d in draws if parts[d.part].references is not None]
    assert 0.4 < sum(d.reference for d in with_pictures) / len(with_pictures) < 0.6
