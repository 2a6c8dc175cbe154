"""A whole generator on two processes: the latents and frames of one, whatever they share. About 40 seconds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gloo import together
from hibari import catalog
from hibari.config import Launch, Settings
from hibari.errors import Cancelled, InvalidRequest
from hibari.generate.backend import Backend, Prompt
from hibari.generate.generator import Generator
from hibari.generate.parallel import Lead, Team, follow
from hibari.generate.plan import make_plan
from hibari.request import GenerationRequest, Shortcuts

CPU = torch.device("cpu")


def work(backend: Backend) -> list[Tensor]:
    """A clip with previews; and before it one that is stopped, and one whose frames nobody asks for."""
    request = GenerationRequest(prompt="a red ball", negative="blurred", seconds=0.5, steps=3, guidance=4)
    plan, prompt = make_plan(request, backend.model, 5), Prompt("a red ball", "blurred")

    def stop(done: int) -> None:
        if done == 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        backend.make_latent(plan, prompt, on_step=stop)
    previews = []

    def look(latent_CTHW: Tensor) -> None:
        previews.append(next(backend.decode(latent_CTHW)))

    latent = backend.make_latent(plan, prompt, on_estimate=look)
    frames = list(backend.decode(latent))
    still = backend.encode_picture(frames[0])
    clip = backend.encode_clip(iter(frames[:5]))
    shown = [torch.from_numpy(each).float() / 255 for each in (*frames, *previews)]
    return [latent, torch.stack(shown), still, clip]


def one_of(home: Path, parallel: Any) -> list[Tensor]:
    """What each process does; the second makes what it is told to, and has nothing to show."""
    rank = torch.distributed.get_rank()
    team = Team.join(Launch(rank, 2, rank), CPU, parallel)
    if rank:
        follow(team)
        return []
    lead = Lead.load(team, catalog.find("tiny", Settings(home=home)), torch.float32)
    short = GenerationRequest(prompt="a ball", shortcuts=Shortcuts(cache=0.1))
    with pytest.raises(InvalidRequest, match="no step cache"):
        lead.make_latent(make_plan(short, lead.model, 1), Prompt("a ball"))
    made = work(lead)
    team.end()
    return made


@pytest.mark.parametrize("parallel", ["auto", "ulysses", "ring"])
def test_two_processes_make_what_one_makes(
    parallel: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    want = work(Generator.load(catalog.find("tiny", Settings(home=home)), CPU, torch.float32))
    got, nothing = together(one_of, tmp_path, home, parallel)
    assert nothing == [] and len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert (a - b).abs().max() <= max(1e-4 * b.abs().max(), 1 / 255 if b.max() <= 1 else 0)
