"""A whole generator on two processes: what one makes, whatever they share, also after errors. About 15 seconds."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from gloo import together
from hibari import catalog
from hibari.config import PARALLEL, Launch, Settings
from hibari.errors import BadWeights, Cancelled, InvalidRequest, OutputError
from hibari.generate.backend import Backend, Prompt
from hibari.generate.generator import Generator
from hibari.generate.parallel import Lead, Team, follow
from hibari.generate.parts import Part
from hibari.generate.plan import make_plan
from hibari.model.vae import WanVAE
from hibari.request import GenerationRequest

CPU = torch.device("cpu")
PROMPT = Prompt("a red ball", "blurred")


def stop(_: object) -> None:
    raise Cancelled("enough")


def work(backend: Backend) -> list[Tensor]:
    """A clip with previews; and before it what is stopped, refused, or made and not asked for."""
    request = GenerationRequest(prompt="a red ball", negative="blurred", seconds=0.5, steps=3, guidance=4)
    plan = make_plan(request, backend.model, 5)

    def stop_after_two(done: int) -> None:
        if done == 2:
            stop(done)

    with pytest.raises(Cancelled):
        backend.make_latent(plan, PROMPT, on_step=stop_after_two)
    with pytest.raises(Cancelled):
        backend.make_latent(plan, PROMPT, on_estimate=stop)
    with pytest.raises(InvalidRequest, match="tokens"):
        backend.make_latent(plan, Prompt("red " * 600, ""))
    previews, left = [], []

    def look(latent_CTHW: Tensor) -> None:
        left.append(backend.decode(latent_CTHW))  # nobody closes it
        previews.append(next(left[-1]))

    latent = backend.make_latent(plan, PROMPT, on_estimate=look)
    frames = list(backend.decode(latent))
    left.clear()
    still = backend.encode_picture(frames[0])
    clip = backend.encode_clip(iter(frames[:5]))
    shown = [torch.from_numpy(each).float() / 255 for each in (*frames, *previews)]
    return [latent, torch.stack(shown), still, clip]


def every_way(home: Path, folder: Path) -> list[list[Tensor]]:
    """What each process does, in each way to share; the second makes what it is told to, and has nothing to show."""
    rank, made = dist.get_rank(), []
    model = catalog.find("tiny", Settings(home=home))
    for parallel in PARALLEL:
        if not dist.is_initialized():  # the way before ended it
            dist.init_process_group("gloo", init_method=f"file://{folder / parallel}", rank=rank, world_size=2)
        team = Team.join(Launch(rank, 2, rank), CPU, parallel)
        if rank:
            follow(team)
            continue
        with pytest.raises(BadWeights):
            Lead.load(team, replace(model, places=model.places | {"vae": folder}), torch.float32)
        made.append(work(Lead.load(team, model, torch.float32)))
        team.end()
    return made


def test_two_processes_make_what_one_makes(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    want = work(Generator.load(catalog.find("tiny", Settings(home=home)), CPU, torch.float32))
    got, nothing = together(every_way, tmp_path, home, tmp_path)
    assert nothing == [] and len(got) == len(PARALLEL)
    for made in got:
        for a, b in zip(made, want, strict=True):
            assert (a - b).abs().max() <= max(1e-4 * b.abs().max(), 1 / 255 if b.max() <= 1 else 0)


def test_a_decode_that_breaks_off_says_no_more_to_the_others(home: Path, tmp_path: Path) -> None:
    """They may be in the midst of an exchange, and would never hear it; the latents are kept for another try."""

    def no_room() -> WanVAE:
        raise RuntimeError("can't allocate memory")

    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        team = Team.join(Launch(), CPU, "ulysses")
        lead = Lead.load(team, catalog.find("tiny", Settings(home=home)), torch.float32)
        poor = replace(lead.generator, parts=replace(lead.generator.parts, vae=Part(no_room)))
        before = team.words
        with pytest.raises(OutputError, match="allocate memory"):
            list(replace(lead, generator=poor).decode(torch.zeros(48, 1, 4, 6)))
        assert team.words == before + 2  # what is decoded, and that the first frame is wanted
    finally:
        dist.destroy_process_group()
