"""Decoding by tiles against decoding whole, streamed both: PSNR, seams, colours, and weights in a byte against exact.

    python benchmarks/tiled_decode.py [--model NAME_OR_FOLDER] [--dtype bfloat16|float32]

Latents are real where the VAE is: encoded clips of the built-in world. The Wan 2.1 form has random weights. A seam's
gradient is the mean absolute difference of neighbouring pixels across it, less that of the whole decode in the same
place: 0 is what a seam that nobody can see has. Weights: one pass of the transformer at noise level 0.6.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import accounts
import numpy as np
import torch
from torch import Tensor

from hibari import catalog
from hibari.config import Settings
from hibari.evaluate.prompts import held_out_scenes, plain_world
from hibari.generate.generator import Generator
from hibari.model.dit import WanDiT
from hibari.model.stored import Storage
from hibari.model.tiles import decoder_halo, spans, tiled_levels
from hibari.model.tiling import decode_pieces
from hibari.model.vae import VAEConfig, WanVAE
from hibari.model.weights import load_dit
from hibari.shapes import PackLayout, VideoShape
from hibari.worlds import STARTER, SpritePack, World

TILES = (128, 64)
SIDE = 192
FRAMES = 13


def real_latents(generator: Generator) -> Iterator[Tensor]:
    """Latents (1,C,T,H,W) of clips of the world that nothing was trained on."""
    for scene in held_out_scenes(plain_world(World(SpritePack.load(), STARTER)), 2, VideoShape(FRAMES, SIDE, SIDE)):
        latent_CTHW = generator.encode_clip(iter(scene.render()))
        yield generator.vae.denormalise(latent_CTHW[None]).to(generator.dtype)


def random_vae(dtype: torch.dtype) -> WanVAE:
    """A VAE of the Wan 2.1 form with random weights, a third as wide as the published one."""
    torch.manual_seed(3)
    vae = WanVAE(VAEConfig(base_dim=32, latents_mean=(0.0,) * 16, latents_std=(1.0,) * 16))
    return vae.to(dtype).eval()


def streamed(vae: WanVAE, latent: Tensor, tile: int | None, by_tile: bool = False) -> Tensor:
    """The frames of a latent as 8-bit numbers (3,T,H,W), two latent frames at a time."""
    pieces = decode_pieces(vae, latent.split(2, dim=2), tile, by_tile)
    return torch.cat([((video[0].float() + 1) * 127.5).clamp(0, 255) for video in pieces], dim=1)


def seams(vae: WanVAE, length: int, tile: int, by_tile: bool) -> Sequence[int]:
    """The pixels along an axis at which a tile begins."""
    tiled = tiled_levels(len(vae.config.dim_mult), by_tile)
    cell = (vae.config.patch_size or 1) * 2 ** (tiled - 1)
    halo = decoder_halo(tiled, vae.config.num_res_blocks + 1)
    return [span.start * cell for span in spans(length // cell, tile // cell, halo)][1:]


def gradient(video: Tensor, columns: Sequence[int]) -> float:
    """The mean absolute difference of pixels across some columns."""
    return float(np.mean([float((video[..., x] - video[..., x - 1]).abs().mean()) for x in columns]))


def compare(name: str, vae: WanVAE, latents: list[Tensor], tile: int, by_tile: bool) -> list[Any]:
    """One line of the table: the worst of all latents."""
    worst, shift, seam = 200.0, 0.0, -1.0
    for latent in latents:
        want, got = streamed(vae, latent, None), streamed(vae, latent, tile, by_tile)
        error = float((want - got).square().mean())
        worst = min(worst, 10 * float(np.log10(255**2 / max(error, 1e-12))))
        shift = max(shift, float((want.mean(dim=(1, 2, 3)) - got.mean(dim=(1, 2, 3))).abs().max()))
        columns = seams(vae, want.shape[3], tile, by_tile)
        seam = max(seam, gradient(got, columns) - gradient(want, columns))
    return [name, f"{tile}, by tile" if by_tile else tile, worst, seam, shift]


def velocity(dit: WanDiT, latent: Tensor) -> Tensor:
    """What the transformer says of a noisy latent and a prompt of random states."""
    generator = torch.Generator().manual_seed(5)
    grid = dit_grid(latent)
    patches = torch.randn(grid.tokens, dit.config.in_channels, generator=generator)
    keys = dit.encode_text([torch.randn(12, dit.config.text_dim, generator=generator)])
    return dit(patches, PackLayout((grid,)), torch.full((grid.frames,), 0.6), keys).float()


def dit_grid(latent: Tensor) -> Any:
    """The token grid of a latent under a transformer whose patch is one cell."""
    from hibari.shapes import Grid

    return Grid(*latent.shape[2:])


def main() -> None:
    """Measure and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    given = parser.parse_args()
    dtype, cpu = getattr(torch, given.dtype), torch.device("cpu")
    model = catalog.find(given.model, Settings.load(home=given.home))
    generator = Generator.load(model, cpu, dtype)
    with torch.inference_mode():
        latents, wan = list(real_latents(generator)), random_vae(dtype)
        noise = [torch.randn(1, 16, 3, 24, 24, generator=torch.Generator().manual_seed(6)).to(dtype)]
        rows = [compare(model.name, generator.vae, latents, *way) for way in product(TILES, (False, True))]
        rows += [compare("Wan 2.1 form, random", wan, noise, *way) for way in product(TILES, (False, True))]
        folder: Path = model.folder / "transformer"
        exact = velocity(load_dit(folder, cpu, dtype), latents[0])
        facts: dict[str, Any] = {"dtype": given.dtype, "allowed": "at least 45 dB, seam at most 0, shift below 0.5"}
        for kind in ("int8", "fp8"):
            got = velocity(load_dit(folder, cpu, dtype, Storage(kind=kind)), latents[0])
            error = float((got - exact).square().mean().sqrt())
            facts[f"{kind} weights, dB of the velocity"] = 20 * float(np.log10(float(exact.abs().max()) / error))
    head = ("VAE", "tile, pixels", "PSNR, dB", "seam gradient, of 255", "colour shift, of 255")
    accounts.report(given.out / "tiled_decode.json", head, rows, facts)


if __name__ == "__main__":
    main()
