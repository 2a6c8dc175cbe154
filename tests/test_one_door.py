"""What a generator makes leaves by `produce` alone: nothing else in the package can write a picture or a video.

Read from the source, call by call, so that a new writer has to be entered here with its reason. About 3 seconds.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_architecture import FILES, SOURCE, imports, room_of

WRITERS = {
    "write_video",
    "write_still",
    "save",
    "save_all",
    "add_stream",
    "mux",
    "imwrite",
    "imsave",
    "export_to_video",
}
FOREIGN = {"cv2", "imageio", "matplotlib", "moviepy", "skimage", "torchvision"}  # they write pictures in their own ways
ALLOWED = {
    "media/encode.py": ({"av.open", "add_stream", "mux", "save"}, "the encoders themselves"),
    "produce/road.py": ({"write_video", "write_still"}, "the one road: what it writes is marked, and signed after"),
    "produce/previews.py": ({"write_still"}, "screened, labelled and marked there, and gone with its job"),
    "generate/parallel.py": ({"save"}, "what rank 0 tells the others, in memory"),
    "worlds/sheet.py": ({"save"}, "rendered worlds, in which no generator has a part"),
    "worlds/pack.py": ({"save"}, "the sprites of a pack, as strips"),
    "safety/frames.py": ({"save"}, "into memory, as the frame model wants its pictures prepared"),
    "provenance/credentials/authority.py": ({"save"}, "one black pixel, to try a key on"),
    "provenance/credentials/sign.py": ({"save"}, "no picture: what the time-stamp authority did last"),
    "provenance/fingerprint/index.py": ({"save"}, "no picture: the fingerprint index"),
    "evaluate/judges.py": ({"save"}, "no picture: the judges' weights, as bytes"),
    "cli/evaluate/judges.py": ({"save"}, "no picture: the judges"),
    "recipes/safety.py": ({"save"}, "no picture: the prompt classifier"),
}
GENERATES = {
    "produce/held.py": "loads them for the one road, and makes nothing",
    "produce/road.py": "the one road",
    "evaluate/makers.py": "frames in memory, for judges only",
    "evaluate/scaling.py": "losses of latents; its clips come by the road",
    "evaluate/physics/measure.py": "frames in memory, for judges only",
    "evaluate/physics/start_image.py": "frames in memory, for judges only",
    "evaluate/shortcuts.py": "frames in memory, compared with each other",
}
GENERATORS = ("hibari.generate.generator", "load_backend", "HeldModels")
ENCODES = {"media", "produce"}


def writers(source: str) -> Iterator[str]:
    """What in a file writes pictures, by its name; a container of PyAV counts where it is opened to write."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        if name in WRITERS:
            yield name
        if called in ("av.open", "av.container.open") and not _reads(node):
            yield "av.open"


def _reads(call: ast.Call) -> bool:
    """Whether a container is opened to read, which is so where no mode is given."""
    modes = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return all(isinstance(mode, ast.Constant) and mode.value == "r" for mode in modes)


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def test_whoever_writes_pictures_stands_in_the_table() -> None:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in FILES:
        for writer in writers(path.read_text(encoding="utf-8")):
            found[name_of(path)].add(writer)
    assert found == {name: calls for name, (calls, _) in ALLOWED.items()}


def test_only_the_road_encodes() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            else:
                continue
            if "hibari.media.encode" in names:
                assert room_of(path) in ENCODES, f"{name_of(path)} encodes"
            foreign = {name.split(".")[0] for name in names} & FOREIGN
            assert not foreign, f"{name_of(path)} imports {foreign}"


def test_only_the_road_and_the_judges_hold_what_a_generator_makes() -> None:
    holders = {
        name_of(path)
        for path in FILES
        if room_of(path) != "generate" and any(name in path.read_text(encoding="utf-8") for name in GENERATORS)
    }
    assert holders == set(GENERATES)


@pytest.mark.parametrize("room", ["recipes", "evaluate"])
def test_samples_and_galleries_come_by_the_road(room: str) -> None:
    assert any("produce" in imports(path) for path in FILES if room_of(path) == room)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("encode.write_video(path, frames, 24)", ["write_video"]),
        ("from hibari.media.encode import write_still\nwrite_still(path, frame, 'PNG')", ["write_still"]),
        ("sheet.save(partial, 'PNG')", ["save"]),
        ("with av.open(str(path), 'w') as out: out.mux(packets)", ["av.open", "mux"]),
        ("av.open(path, mode='w', format='mp4')", ["av.open"]),
        ("av.open(path, mode)", ["av.open"]),
        ("av.open(path, options={})\nav.open(path, 'r')\npath.open('w')", []),
    ],
)
def test_a_writer_is_seen(source: str, found: list[str]) -> None:
    assert sorted(writers(source)) == found
