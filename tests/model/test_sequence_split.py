"""A transformer and a VAE over several processes give what one gives. About 15 seconds, most of them process starts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gloo import together
from hibari.model.attention import attend, attend_in_part
from hibari.model.dit import DiTConfig, WanDiT
from hibari.model.packing import pack
from hibari.model.parallel import Ranks, split_sequence
from hibari.model.parallel_vae import split_rows
from hibari.model.vae import VAEConfig, WanVAE
from hibari.model.vae_layers import StreamState

WIDTHS: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 28,
    "freq_dim": 32,
    "ffn_dim": 80,
    "num_layers": 2,
}


def distance(got: Tensor, want: Tensor) -> float:
    """The largest difference as a share of the largest value; tiny_dit's, whose import of diffusers takes too long."""
    return float((got - want).abs().max() / want.abs().max())


def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(6)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.15, generator=generator).add_(0.02)


def test_parts_of_the_keys_merge_into_the_whole() -> None:
    q, k, v = (torch.randn(2, length, 3, 8) for length in (7, 11, 11))
    parts = [attend_in_part(q, k[:, part], v[:, part], 0.3) for part in (slice(0, 4), slice(4, 11))]
    total = torch.logaddexp(parts[0][1], parts[1][1])
    merged = sum((out * (sums - total).exp() for out, sums in parts), torch.zeros(()))
    assert distance(merged, attend(q, k, v, scale=0.3)) < 1e-6


def run_dit(exchange: str | None) -> list[Tensor]:
    """The velocities of packs of odd sizes: a guidance pair, and clips that differ, by frame and by token."""
    torch.manual_seed(1)
    model = WanDiT(DiTConfig(**WIDTHS))
    randomise(model)
    texts = model.encode_text([torch.randn(n, 384) for n in (5, 9)])
    if exchange is not None:
        split_sequence(model, model.sequence_plan, Ranks(), exchange)  # type: ignore[arg-type]
    outcomes = []
    for shapes in ([(3, 3, 5)] * 2, [(3, 3, 5), (1, 7, 1)]):
        patches_LP, layout = pack([torch.randn(48, *shape) for shape in shapes], (1, 1, 1))
        for count in (layout.num_frames, layout.num_tokens):
            outcomes.append(model(patches_LP, layout, torch.rand(count), texts))
    return outcomes


FORMS = {
    "wan 2.1": VAEConfig(base_dim=4, z_dim=4),
    "wan 2.2": VAEConfig(
        base_dim=4, z_dim=4, is_residual=True, in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16
    ),
}


def run_vae(form: str, split: bool) -> list[Tensor]:
    """A clip and a latent of five rows, whole and in pieces; the last of three ranks has one row, the others two."""
    vae = WanVAE(FORMS[form])
    randomise(vae)
    if split:
        split_rows(vae, Ranks())
    torch.manual_seed(2)
    space = FORMS[form].scale_factor_spatial
    latent, video = torch.randn(1, 4, 3, 5, 2), torch.rand(1, 3, 9, 5 * space, 2 * space)
    state, pieces = StreamState(), []
    for piece in latent.split(2, dim=2):
        pieces.append(vae.decode_chunk(piece, state))
    return [vae.decode(latent), torch.cat(pieces, dim=2), *vae.encode(video)]


def run_both(exchanges: tuple[str, ...], form: str) -> list[list[Tensor]]:
    """All that one group of processes does: starting them is what takes long."""
    return [*(run_dit(exchange) for exchange in exchanges), run_vae(form, True)]


@pytest.mark.parametrize(
    ("ranks", "exchanges", "form"), [(2, ("ulysses", "ring"), "wan 2.1"), (3, ("ring",), "wan 2.2")]
)
def test_several_processes_give_what_one_gives(
    ranks: int, exchanges: tuple[str, ...], form: str, tmp_path: Path
) -> None:
    with torch.inference_mode():
        want = [*[run_dit(None)] * len(exchanges), run_vae(form, False)]
    for got in together(run_both, tmp_path, exchanges, form, ranks=ranks):
        for made, wanted in zip(got, want, strict=True):
            assert all(distance(a, b) < 1e-4 for a, b in zip(made, wanted, strict=True))
