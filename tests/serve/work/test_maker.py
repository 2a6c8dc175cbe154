"""The maker's own parts: its pipe, its requests, and how it knows that memory ran out. About 4 seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hibari.request import Size
from hibari.serve.asked import Asked, CharacterUse, Source
from hibari.serve.work.errand import blobs_of
from hibari.serve.work.maker import is_no_memory, request_of_job

VIDEO = "video_" + "0" * 24


def test_nothing_but_the_protocol_reaches_the_pipe() -> None:
    code = """
import os
from hibari.serve.pipes import own_stdout
from hibari.serve.work.maker import Channel
from hibari.serve.work.protocol import Ready
import io
channel = Channel(inbox=io.BytesIO(), outbox=own_stdout())
print("a library talks", flush=True)
os.write(1, b"so does native code")
os.system("echo and a child")
channel.say(Ready())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout) == {"kind": "Ready"}
    for words in (b"a library talks", b"so does native code", b"and a child"):
        assert words in done.stderr


def test_a_maker_ends_with_its_worker() -> None:
    maker = subprocess.Popen([sys.executable, "-m", "hibari.serve.work.maker"], stdin=subprocess.PIPE)
    assert maker.stdin is not None
    maker.stdin.close()
    assert maker.wait(60) != 0, "it had no settings"


def test_the_request_of_a_start_image(tmp_path: Path) -> None:
    shape = {"size": "192x128", "seconds": 0.5, "flow_shift": 2.5}
    asked = Asked(verb="create", prompt="a fox", model="tiny", input=f"{VIDEO}/input.png", **shape)
    request = request_of_job(asked, tmp_path, {f"{VIDEO}/input.png": "in-0.png"})
    assert request.flow_shift == 2.5
    assert request.image == tmp_path / "in-0.png" and request.size == Size(192, 128)
    assert (request.video, request.extend, request.references) == (None, False, ())


def test_the_request_of_an_extension_with_a_character(tmp_path: Path) -> None:
    source = Source(
        id=VIDEO,
        video=f"{VIDEO}/video-1.mp4",
        latents=f"{VIDEO}/latents-1.safetensors",
        seconds=1.0,
        size="",
        frames=12,
        fps=12,
    )
    character = CharacterUse(id="char_1", name="Rex", file="char_1/clip.mp4", consent="nobody")
    asked = Asked(verb="extend", prompt="on", model="tiny", seconds=1, source=source, characters=(character,))
    blobs = blobs_of(asked)
    assert blobs == [source.video, source.latents, character.file]
    inputs = {blob: f"in-{index}" for index, blob in enumerate(blobs)}
    request = request_of_job(asked, tmp_path, inputs)
    assert request.extend and request.video == tmp_path / "in-0" and request.latents == tmp_path / "in-1"
    assert request.references == (tmp_path / "in-2",)


def test_memory_that_ran_out_is_told_from_other_faults() -> None:
    assert is_no_memory(MemoryError())
    assert is_no_memory(RuntimeError("could not create a primitive"))
    assert not is_no_memory(RuntimeError("could not create a primitive descriptor for the convolution"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_no_memory(caught.value), caught.value
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_no_memory(caught.value)
    assert is_no_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))


def test_the_maker_leaves_the_pipe_to_nobody_else() -> None:
    """A child of the maker inherits standard error as its standard output, and not the pipe."""
    code = (
        "import os; from hibari.serve.pipes import own_stdout; p = own_stdout(); print(os.get_inheritable(p.fileno()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=os.environ)
    assert done.stdout == b"" and done.stderr.strip().endswith(b"False")
