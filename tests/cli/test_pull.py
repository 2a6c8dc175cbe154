"""`hibari pull` against a hub on this machine, through huggingface_hub's own client. About 20 seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub_server import COMMIT, Hub, serving
from published_folders import SHARDS, SKYREELS, write_published

NAME, REPOSITORY = "wan2.1-t2v-1.3b", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
SKY, SKY_REPOSITORY = "skyreels-v2-df-1.3b-540p", "Skywork/SkyReels-V2-DF-1.3B-540P-Diffusers"
SHARD = f"transformer/{SHARDS[1]}"
Pull = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = write_published(tmp_path / "published")
    (folder / "assets").mkdir()
    (folder / "assets" / "logo.png").write_bytes(b"picture")
    (folder / "convert.py").write_text("raise SystemExit")
    (folder / "tokenizer/own.py").write_text("raise SystemExit")
    with serving(Hub(repository=REPOSITORY, folder=folder)) as made:
        yield made


@pytest.fixture
def start(hub: Hub, tmp_path: Path) -> Pull:
    """Start a verb with an empty data folder, against the hub, where torch is not needed."""

    def call(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HIBARI_", "HF_"))}
        ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HIBARI_HOME": str(tmp_path / "home")}
        return subprocess.Popen(
            [sys.executable, "-m", "hibari", *arguments],
            env=kept | ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def names(start: Pull) -> list[str]:
    code, out, err = ended(start("models", "--json"))
    assert code == 0, err
    return [row["name"] for row in json.loads(out)]


def refusal(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert (code, out) == (2, ""), err
    said = [line for line in err.splitlines() if line.startswith("hibari: ")]
    assert len(said) == 1 and "Traceback" not in err
    return said[0]


def test_a_model_is_pulled_whole(start: Pull, hub: Hub, tmp_path: Path) -> None:
    code, out, err = ended(start("pull", NAME, HF_TOKEN="hf_secret"))
    folder = tmp_path / "home/models" / NAME
    assert len(hub.shown) == 2 and not any(hub.shown), "the hub's storage sees no token"
    assert (code, out.strip()) == (0, str(folder)), err
    assert "Licence: apache-2.0" in err
    record = json.loads((folder / "pulled.json").read_text())
    assert (record["source"], record["revision"], record["licence"]) == (REPOSITORY, COMMIT, "apache-2.0")
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == set(record["files"]) | {"pulled.json"}
    assert not any(path.endswith((".py", ".png")) for path in there), "no code, no pictures"
    assert all((folder / path).read_bytes() == (hub.folder / path).read_bytes() for path in record["files"])
    code, out, _ = ended(start("models", "--json"))
    row = next(row for row in json.loads(out) if row["name"] == NAME)
    assert (row["revision"], row["licence"], row["refused"]) == (COMMIT[:12], "apache-2.0", None)
    assert [path.name for path in folder.parent.iterdir()] == [NAME]
    assert "is here already" in refusal(ended(start("pull", NAME)))


def test_a_pull_that_is_killed_goes_on_where_it_stopped(start: Pull, hub: Hub, tmp_path: Path) -> None:
    write_published(hub.folder, rows=100_000)  # the client writes ten megabytes at once
    hub.stalls = SHARD
    process = start("pull", NAME)
    assert hub.half_way.wait(60)
    size = (hub.folder / SHARD).stat().st_size
    partial = tmp_path / f"home/models/.{NAME}.part"
    while not any(path.stat().st_size for path in partial.rglob(f".{SHARDS[1]}*.part")):
        assert process.poll() is None
    assert "on its way here already" in refusal(ended(start("pull", NAME)))
    process.kill()
    ended(process)
    assert NAME not in names(start), "what is under way is no model"
    hub.stalls, hub.asked[:] = "", []
    hub.go.set()
    code, _, err = ended(start("pull", NAME))
    assert code == 0, err
    asked = dict(hub.asked)
    assert f"transformer/{SHARDS[0]}" not in asked, "what came whole is not asked for again"
    assert 0 < int(asked[SHARD].removeprefix("bytes=").rstrip("-")) < size
    folder = tmp_path / "home/models" / NAME
    assert (folder / SHARD).read_bytes() == (hub.folder / SHARD).read_bytes()
    assert NAME in names(start)


def test_a_wrong_checksum_is_thrown_away(start: Pull, hub: Hub) -> None:
    hub.spoils = SHARD
    assert f"{SHARD} came with a wrong checksum" in refusal(ended(start("pull", NAME)))
    assert NAME not in names(start)
    hub.spoils = ""
    assert ended(start("pull", NAME))[0] == 0


def test_a_repository_that_lacks_a_shard_or_holds_something_else(start: Pull, hub: Hub) -> None:
    (hub.folder / SHARD).rename(hub.folder / "elsewhere")
    assert f"{SHARDS[1]}: not there, though its index names it" in refusal(ended(start("pull", NAME)))
    (hub.folder / "elsewhere").rename(hub.folder / SHARD)
    write_published(hub.folder, num_attention_heads=40)
    assert "not the model that it is known as" in refusal(ended(start("pull", NAME)))
    assert NAME not in names(start)


def test_what_the_hub_has_not_and_a_hub_that_does_not_answer(start: Pull) -> None:
    assert "the hub has no such repository" in refusal(ended(start("pull", "wan2.1-t2v-14b")))
    nobody = start("pull", NAME, HF_ENDPOINT="http://127.0.0.1:9")
    assert "goes on where this one stopped" in refusal(ended(nobody))


def test_a_licence_that_has_to_be_accepted(start: Pull, hub: Hub) -> None:
    hub.repository, hub.licence = SKY_REPOSITORY, "skywork-license"
    write_published(hub.folder, SKYREELS, inject_sample_info=True)
    (hub.folder / "README.md").write_text("---\nlicense: other\nlicense_name: skywork-license\n---\n")
    said = refusal(ended(start("pull", SKY)))
    assert "skywork-license, which nobody here has accepted" in said and "--accept-licence skywork-license" in said
    assert not [path for path, _ in hub.asked], "nothing was fetched"
    assert "not under mit" in refusal(ended(start("pull", SKY, "--accept-licence", "mit")))
    listed = start("pull", SKY, "--accept-licence", "skywork-license", HIBARI_LICENCES="apache-2.0")
    assert "this house allows apache-2.0" in refusal(ended(listed))
    code, _, err = ended(start("pull", SKY, "--accept-licence", "skywork-license"))
    assert code == 0, err
    code, out, _ = ended(start("models", "--json", HIBARI_LICENCES="apache-2.0"))
    row = next(row for row in json.loads(out) if row["name"] == SKY)
    assert "this house allows apache-2.0" in row["refused"]
    assert "extend" in row["verbs"]
    code, out, _ = ended(start("models", "--json"))
    assert next(row for row in json.loads(out) if row["name"] == SKY)["refused"] is None
    unmade = start("generate", "a red ball", "--model", SKY, "-o", "x.mp4", HIBARI_LICENCES="apache-2.0")
    assert "this house allows apache-2.0" in refusal(ended(unmade))


def test_a_wrong_command(start: Pull) -> None:
    assert "no published model that Hibari knows. Known: wan2.1-t2v-1.3b" in refusal(ended(start("pull", "wan")))
    assert "Allowed: diffusers, original" in refusal(ended(start("pull", NAME, "--form", "gguf")))
    assert "--from: nowhere: no such folder" in refusal(ended(start("pull", NAME, "--from", "nowhere")))
    assert f"`hibari pull {NAME}` brings it" in refusal(ended(start("generate", "a red ball", "--model", NAME)))
    assert "a folder has the form" in refusal(ended(start("pull", NAME, "--form", "original", "--from", ".")))
