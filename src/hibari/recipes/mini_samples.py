"""Fixed-seed samples while the transformer of `hibari train mini` trains, made by the one road that makes all files.

Run by `recipes.mini`.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from hibari.model.dit import WanDiT
from hibari.model.weights import save_dit

TAKEN_OVER = ("text_encoder", "tokenizer", "scheduler")


def weights_folder(folder: Path, base: Path, vae: Path) -> Path:
    """A diffusers folder that lacks only its transformer: everything else comes from `base`, the VAE from `vae`."""
    for part in TAKEN_OVER:
        shutil.copytree(base / part, folder / part, dirs_exist_ok=True)
    shutil.copytree(vae, folder / "vae", dirs_exist_ok=True)
    shutil.copy(base / "model_index.json", folder)
    return folder


def sampler(
    out: Path, folder: Path, prompts: Sequence[str], device: torch.device, home: Path | None
) -> Callable[[WanDiT, int], None]:
    """A function that writes `out/STEP-N.mp4` for each prompt, seed 0, with the weights that the model has then.

    folder: a weights folder with its card; its transformer is written anew each time. home: whose ledger has them.
    """

    def sample(model: WanDiT, step: int) -> None:
        # Not at the top: producing files needs packages that a bare training machine does not have.
        from hibari.config import Settings
        from hibari.produce import Hibari
        from hibari.request import GenerationRequest

        save_dit(model, folder / "transformer", torch.bfloat16)
        hibari = Hibari(Settings.load(home=home, model=str(folder), device=str(device)))
        for number, prompt in enumerate(prompts):
            request = GenerationRequest(prompt=prompt, seconds=1.5, seed=0)
            hibari.generate(request, output=out / f"{step:06d}-{number}.mp4")

    out.mkdir(parents=True, exist_ok=True)
    return sample
