"""Jobs of a model that diffusers runs, made by a real maker: a file, a stop, damaged weights. About 20 seconds."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from hibari.config import Settings
from hibari.serve.asked import Asked
from hibari.serve.pipes import encode_settings
from hibari.serve.work.protocol import Answer, Cancel, Failed, Holding, Made, Make, Ready, Step, Stopped, decode, encode
from tiny_foreign import build_tiny_foreign


def answers(maker: "subprocess.Popen[bytes]") -> Iterator[Answer]:
    assert maker.stdout is not None
    for line in maker.stdout:
        answer = decode(line)
        if not isinstance(answer, Holding):
            yield answer


def until_it_is_over(heard: Iterator[Answer]) -> list[Answer]:
    """What is told of one job, its end last."""
    told = [next(heard)]
    while isinstance(told[-1], Step):
        told.append(next(heard))
    return told


def order(folder: Path, job: str, **fields: object) -> bytes:
    told: dict[str, Any] = {"model": "ltx", "prompt": "a hare runs", "seconds": 1.0, "seed": 4} | fields
    asked = Asked(verb="create", **told)
    (folder / job).mkdir()
    return encode(Make(job=job, user="ann", asked=asked.to_dict(), folder=str(folder / job), keep_latents=True))


def test_a_job_is_made_stopped_and_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    folder = build_tiny_foreign(home / "models" / "ltx", "ltx")
    torn = shutil.copytree(folder, home / "models" / "torn")
    save_file({"x": torch.zeros(2)}, torn / "vae/diffusion_pytorch_model.safetensors")
    settings = Settings.load(home=home, model="ltx", device="cpu", dtype="float32")
    command = [sys.executable, "-m", "hibari.serve.work.maker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as maker:
        assert maker.stdin is not None
        maker.stdin.write(encode_settings(settings))
        maker.stdin.flush()
        heard = answers(maker)
        assert next(heard) == Ready()
        maker.stdin.write(order(tmp_path, "one"))
        maker.stdin.flush()
        *told, made = until_it_is_over(heard)
        assert isinstance(made, Made), made
        assert "video" in made.files and "latents" not in made.files
        assert [each.done for each in told if isinstance(each, Step) and each.stage == "denoise"] == [0, 1, 2]
        maker.stdin.write(encode(Cancel(job="two")) + order(tmp_path, "two"))
        maker.stdin.write(order(tmp_path, "three", loras=("sketch",)))
        maker.stdin.flush()
        assert isinstance(until_it_is_over(heard)[-1], Stopped)
        failed = until_it_is_over(heard)[-1]
        assert isinstance(failed, Failed) and "no effect with ltx" in failed.message
        maker.stdin.write(order(tmp_path, "four", model="torn") + order(tmp_path, "five"))
        maker.stdin.flush()
        failed = until_it_is_over(heard)[-1]
        assert isinstance(failed, Failed) and failed.code == "server_error", failed
        assert "files are damaged" in failed.message and str(tmp_path) not in failed.message
        assert isinstance(until_it_is_over(heard)[-1], Made), "the maker is there for the next"
        maker.stdin.close()
