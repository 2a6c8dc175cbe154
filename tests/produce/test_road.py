"""The one road: a request becomes a whole file and a record, or nothing at all. About 20 seconds."""

import os
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PIL import Image
from safetensors import safe_open

import hibari
from hibari.errors import BadMedia, Cancelled, InvalidRequest, OutputError
from hibari.media.decode import probe, read_video
from hibari.produce import Hibari, Progress
from hibari.produce.latents import digest_of
from hibari.request import GenerationRequest


@pytest.fixture(scope="module")
def maker(home: Path) -> Hibari:
    return Hibari(home=home, model="tiny", device="cpu", dtype="float32")


def ask(**fields: Any) -> GenerationRequest:
    return GenerationRequest(**({"prompt": "an octopus drifts to the left", "seed": 4} | fields))


def test_a_video_and_its_record(maker: Hibari, tmp_path: Path) -> None:
    told: list[Progress] = []
    record = maker.generate(ask(), output=tmp_path / "a.mp4", on_progress=told.append)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.fps, info.frames) == (192, 128, 12, 9)
    values = record.as_dict()
    assert values["path"] == str(tmp_path / "a.mp4")
    assert (values["model"], values["revision"], values["seed"]) == ("tiny", "7", 4)
    assert (values["size"], values["render_size"], values["seconds"]) == ("192x128", "96x64", 0.75)
    assert (values["device"], values["dtype"]) == ("cpu", "float32")
    assert set(values["seconds_spent"]) == {"screen", "load", "denoise", "decode", "mark", "encode", "sign", "record"}
    stages = ["screen"] * 2 + ["load"] * 2 + ["denoise"] * 4 + ["frames"] * 9 + ["sign"] * 2
    assert [progress.stage for progress in told] == stages
    assert told[7] == Progress(stage="denoise", done=3, total=3)
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_the_same_seed_makes_the_same_frames(maker: Hibari, home: Path, tmp_path: Path) -> None:
    first = maker.generate(ask(), output=tmp_path / "a.mp4")
    again = Hibari(home=home, model="tiny", device="cpu", dtype="float32").generate(ask(), output=tmp_path / "b.mp4")
    other = maker.generate(ask(seed=5), output=tmp_path / "c.mp4")
    assert first.making == again.making
    assert first.making.latents_sha256 != other.making.latents_sha256
    assert first.id != again.id


def test_a_still_by_its_suffix_or_by_no_seconds(maker: Hibari, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert maker.generate(ask(), output="a.webp").plan.seconds == 0
    named = maker.generate(ask(seconds=0))
    assert named.path == Path("an-octopus-drifts-to-the-left-4.png")
    assert maker.generate(ask(seconds=0)).path == Path("an-octopus-drifts-to-the-left-4-2.png"), (
        "nothing is overwritten"
    )
    for seconds, output in ((1, "a.png"), (0, "a.mp4")):
        with pytest.raises(InvalidRequest) as caught:
            maker.prepare(ask(seconds=seconds), output)
        assert caught.value.option == "seconds"


def test_delivered_sizes_and_rates(maker: Hibari, tmp_path: Path) -> None:
    record = maker.generate(ask(size="300x200", fps=24, seconds=0.5), output=tmp_path / "a.mp4")
    info, frames = read_video(tmp_path / "a.mp4", 100)
    assert (info.width, info.height, info.fps, len(frames)) == (300, 200, 24, 12)
    assert len(record.plan.notes) == 2


def test_a_start_image(maker: Hibari, tmp_path: Path) -> None:
    Image.new("RGB", (40, 90), (250, 30, 30)).save(tmp_path / "red.png")
    with_image = maker.generate(ask(image=tmp_path / "red.png"), output=tmp_path / "a.mp4")
    without = maker.generate(ask(), output=tmp_path / "b.mp4")
    assert with_image.making.latents_sha256 != without.making.latents_sha256
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(BadMedia) as caught:
        maker.prepare(ask(image=tmp_path / "text.png"), tmp_path / "c.mp4")
    assert caught.value.option == "image"


def test_whose_generation_it_is_and_the_latents_that_are_kept(maker: Hibari, tmp_path: Path) -> None:
    kept = tmp_path / "latents.safetensors"
    record = maker.generate(ask(seconds=0), output=tmp_path / "a.png", user="ben", keep_latents=kept)
    entry = maker.door.ledger.find(record.id)
    assert entry is not None and entry.user == "ben"
    with safe_open(kept, "pt") as file:
        assert digest_of(file.get_tensor("latents")) == record.making.latents_sha256
    assert kept.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError):
        maker.generate(ask(seconds=0), output=tmp_path / "b.png", keep_latents=tmp_path / "none" / "a")
    again = maker.replay(record.id, output=tmp_path / "c.png", user="cat").record
    entry = maker.door.ledger.find(again.id)
    assert entry is not None and (entry.user, entry.replay_of) == ("cat", record.id)


def test_stopping_leaves_nothing(maker: Hibari, tmp_path: Path) -> None:
    for stage in ("load", "denoise", "frames"):
        cancel = Event()

        def stop(progress: Progress, stage: str = stage, cancel: Event = cancel) -> None:
            if progress.stage == stage and progress.done:
                cancel.set()

        with pytest.raises(Cancelled):
            maker.generate(ask(), output=tmp_path / "a.mp4", on_progress=stop, cancel=cancel)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stage", ["load", "denoise"])
def test_memory_that_runs_out_is_said(maker: Hibari, tmp_path: Path, stage: str) -> None:
    def fail(progress: Progress, said: str = "DefaultCPUAllocator: can't allocate memory: 8 bytes") -> None:
        if progress.stage == stage:
            raise RuntimeError(said)

    with pytest.raises(OutputError, match="not enough memory") as refused:
        maker.generate(ask(), output=tmp_path / "a.mp4", on_progress=fail)
    assert refused.value.option == "memory" and "hibari plan" in refused.value.hint
    with pytest.raises(RuntimeError, match="a fault of ours"):
        maker.generate(ask(), output=tmp_path / "a.mp4", on_progress=lambda progress: fail(progress, "a fault of ours"))
    assert os.listdir(tmp_path) == []


def test_an_output_that_cannot_be_is_said_before_work(maker: Hibari, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        maker.prepare(ask(), tmp_path / "none" / "a.mp4")
    with pytest.raises(BadMedia):
        maker.prepare(ask(), tmp_path / "a.gif")


def test_what_lies_outside_the_world_is_said(maker: Hibari, tmp_path: Path) -> None:
    assert maker.prepare(ask(), tmp_path / "a.mp4").advice == ""
    assert "octopus" in maker.prepare(ask(prompt="a dragon"), tmp_path / "a.mp4").advice


def test_the_package_shows_its_few_names() -> None:
    assert hibari.Hibari is Hibari
    assert {"GenerationRequest", "Hibari", "Record"} <= set(dir(hibari))
    with pytest.raises(AttributeError):
        _ = hibari.nothing
