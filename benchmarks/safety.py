"""What the safety screens cost, and how often the frame classifiers take harmless rendered clips for harm.

    python benchmarks/safety.py [--clips N] [--second FILE.onnx]

Times are the median of repeated calls in this process, beside a matrix product that says how busy the machine is. False
alarms are counted on clips of the worlds, which hold nothing that a screen should stop; recall cannot be measured
without unsafe pictures, and none are here.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accounts
import numpy as np

from hibari import catalog
from hibari.config import Settings
from hibari.evaluate.intervals import Share
from hibari.model.text import MiniLMTextEncoder
from hibari.safety.classifier import sentence_vectors
from hibari.safety.faces import FaceFinder
from hibari.safety.frames import FrameModel, FrameScreen, ImageSafetyS, OpenNsfw, picked
from hibari.safety.policy import Policy
from hibari.safety.prompts import PromptScreen
from hibari.shapes import VideoShape
from hibari.worlds import World

SHORT = "a red ball rolls to the left across a wooden floor"
LONG = " ".join(["An old fisherman mends his net while gulls circle over the harbour at dawn."] * 12)
SECONDS, FPS, HEIGHT, WIDTH = 4, 12, 240, 432
REPEATS = 7
FIRST_SEED = 500_000


def median_ms(what: Callable[[], object]) -> float:
    """The median time of a call in milliseconds, the first one left out."""
    what()
    took = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        what()
        took.append(1e3 * (time.perf_counter() - start))
    return statistics.median(took)


def alarms(model: FrameModel, policy: Policy, clips: int) -> dict[str, Any]:
    """Clips of which some frame would be held or refused, and the highest score of each category."""
    world, screen = World(), FrameScreen(policy, [model])
    stopped, highest = 0, {}
    for seed in range(FIRST_SEED, FIRST_SEED + clips):
        frames = world.scene(seed, VideoShape(13, 144, 256)).render()
        verdict = screen.screen(frames[picked(len(frames), FPS)])
        stopped += not verdict.allowed
        for name, score in verdict.categories.items():
            highest[name] = round(max(score, highest.get(name, 0.0)), 3)
    return {"false alarms": str(Share(stopped, clips)), "highest scores": highest}


def main() -> None:
    """Time every screen, count false alarms, and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--second", type=Path, help="image-safety-classifier-s.onnx")
    given = parser.parse_args()
    policy = Policy.load()
    encoder = MiniLMTextEncoder.load(catalog.find("hibari-mini", Settings.load(home=given.home)).folder)
    start = time.perf_counter()
    screen = PromptScreen(policy, sentence_vectors(encoder))
    loading = 1e3 * (time.perf_counter() - start)
    frames = World().scene(1, VideoShape(SECONDS * FPS + 1, HEIGHT, WIDTH)).render()
    looked = frames[picked(len(frames), FPS)]
    finder = FaceFinder()
    models: list[FrameModel] = [OpenNsfw(), *([ImageSafetyS(given.second)] if given.second else [])]
    square = np.ones((512, 512), dtype=np.float32)
    rows: list[list[Any]] = [
        ["load the prompt screen", loading, 1],
        ["screen a short prompt", median_ms(lambda: screen.screen(SHORT)), 1],
        [f"screen a prompt of {len(LONG.split())} words", median_ms(lambda: screen.screen(LONG)), 1],
        ["find faces in one picture", median_ms(lambda: finder.find(frames[0])), 1],
    ]
    facts: dict[str, Any] = {"a 512 matrix product here, ms": median_ms(lambda: square @ square)}
    for model in models:
        took = median_ms(lambda model=model: FrameScreen(policy, [model]).screen(looked))
        rows.append([f"screen a {SECONDS} s clip at {WIDTH}x{HEIGHT}, {model.name}", took, len(looked)])
        facts |= {f"{model.name}: {key}": value for key, value in alarms(model, policy, given.clips).items()}
    accounts.report(given.out / "safety.json", ("what", "ms", "pictures"), rows, facts)


if __name__ == "__main__":
    main()
