"""The same prompts, seeds and held-out clips for weights of more and more training compute, side by side.

Losses are worked out from the weights here, on clips that no training saw; what a log says is not asked. The clips are
made, and the picture is delivered, by the one road. A run's kept weights and whole folders of separate runs do alike.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hibari.catalog.card import FILE as CARD
from hibari.catalog.folder import read_json
from hibari.clip import Clip
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.evaluate.curve import Line, draw_curve, in_short
from hibari.evaluate.following import ask, summarise
from hibari.evaluate.gallery import FRAMES, HEIGHT, MOST_FRAMES, PROMPTS, SECONDS, lay_out
from hibari.evaluate.judges import Judges
from hibari.evaluate.makers import load_generator, model_maker
from hibari.evaluate.prompts import held_out_scenes, prompts_of
from hibari.generate.generator import Generator
from hibari.media import decode
from hibari.media.files import file_sha256
from hibari.model.packing import pack
from hibari.produce import Hibari, Record
from hibari.produce.sheet import check_sheet_target, publish_sheet
from hibari.request import GenerationRequest
from hibari.train.compute import COMPUTE, Compute, kept_folders
from hibari.train.packs import LEVELS, Batch, held_out_loss
from hibari.worlds import Scene, World
from hibari.worlds.sheet import PAPER, strip

SHOWN = PROMPTS[:4]
SEEDS = (0, 1)
AT_ONCE = 8  # clips whose loss is worked out together
MODEL_INDEX = "model_index.json"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A whole weights folder and the FLOPs that its training took.

    `step` is None where it is not known; `ended` is false for weights on the way of a longer run, `from_nothing` for
    those of a run that went on from others, whose cost is not in `flops`.
    """

    folder: Path
    flops: float
    step: int | None = None
    ended: bool = True
    from_nothing: bool = True


@contextmanager
def points_of(given: Sequence[str]) -> Iterator[list[Point]]:
    """The points that a person names: a run's folder, or at least two weights folders, FOLDER or FOLDER=FLOPS.

    They last as long as the block. Raises InvalidRequest.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(given[0]).expanduser()
        if len(given) == 1 and kept_folders(run / "dit"):
            points = _points_of_run(run, Path(scratch))
        else:
            points = [_point_of(text) for text in given]
        if len(points) < 2:
            raise InvalidRequest(
                f"{given[0]} alone makes no curve.",
                option="folders",
                hint="Give the folder of a run that kept weights, or several weights folders, least compute first.",
            )
        if any(one.flops >= other.flops for one, other in pairwise(points)):
            raise InvalidRequest("each has to have more compute than the one before it.", option="folders")
        yield points


def _points_of_run(run: Path, scratch: Path) -> list[Point]:
    """Each transformer that a run kept, with all else of the run's finished weights."""
    finished = run / "weights"
    if not (finished / MODEL_INDEX).is_file():
        raise InvalidRequest(
            f"{finished} is not there yet.", option="folders", hint='Run its last stage: --set stages=["export"]'
        )
    points = []
    for kept in kept_folders(run / "dit"):
        folder = scratch / kept.name
        folder.mkdir()
        for part in finished.iterdir():
            if part.name not in ("transformer", CARD, COMPUTE):
                (folder / part.name).symlink_to(part.resolve())
        (folder / "transformer").symlink_to(kept.resolve())
        # The card's revision is that of the finished weights; without one, the weights themselves tell theirs.
        card = read_json(finished / CARD) | {"revision": "unknown"}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")
        points.append(_with_compute(folder, Compute.read(kept)))
    return points


def _point_of(text: str) -> Point:
    name, equals, number = text.rpartition("=") if "=" in text else (text, "", "")
    folder = Path(name).expanduser()
    if not (folder / MODEL_INDEX).is_file():
        raise InvalidRequest(f"{name} is no weights folder.", option="folders")
    if equals:
        try:
            return Point(folder=folder, flops=float(number))
        except ValueError:
            raise InvalidRequest(f"{text}: {number!r} is no number of FLOPs.", option="folders") from None
    if not (folder / COMPUTE).is_file():
        raise InvalidRequest(f"{name}: its compute is not known.", option="folders", hint=f"Write it: {name}=1.5e15")
    return _with_compute(folder, Compute.read(folder))


def _with_compute(folder: Path, spent: Compute) -> Point:
    ended = spent.step >= spent.steps
    return Point(folder=folder, flops=spent.flops, step=spent.step, ended=ended, from_nothing=spent.from_nothing)


def measure(
    points: Sequence[Point], settings: Settings, world: World, clips: int, panel: Judges | None = None, asked: int = 0
) -> Iterator[dict[str, Any]]:
    """A row for each point: what it is, its held-out loss by level and, for `asked` prompts, what it follows of them.

    `world` is a plain one; all points get the same held-out clips of it, `clips` of them, and the same noise.
    """
    scenes = held_out_scenes(world, clips)
    for point in points:
        generator = load_generator(settings, str(point.folder))
        losses = loss_of(generator, scenes)
        row: dict[str, Any] = asdict(point) | {
            "folder": str(point.folder),
            "revision": generator.model.revision,
            "vae": "".join(
                file_sha256(path)[:16] for path in sorted(generator.model.places["vae"].glob("*.safetensors"))
            ),
            "loss": {str(level): round(loss, 4) for level, loss in zip(LEVELS, losses, strict=True)},
            "mean": round(sum(losses) / len(losses), 4),
        }
        if panel is not None and asked:
            answers = ask(model_maker(generator), panel, prompts_of(held_out_scenes(world, asked)))
            row["following"] = summarise(list(answers))
        yield row


def summarise_points(rows: Sequence[dict[str, Any]], clips: int, asked: int) -> dict[str, Any]:
    """All rows with how many times the first one's compute each has, and what is to be known when they are read."""
    told = [row | {"times": times(row, rows[0])} for row in rows]
    notes = [f"Held-out flow loss by noise level: {clips} clips of the world, the same clips and noise in each row."]
    if asked:
        notes.append(f"Right objects, motions and backgrounds: of {asked} held-out prompts.")
    if not all(row["ended"] for row in rows):
        notes.append(
            "Weights on the way of one run, whose learning rate was still high: a run that ends there is better."
        )
    if len({row["vae"] for row in rows}) > 1:
        notes.append("The VAEs differ, and so do the latents that the losses are of: they compare only roughly.")
    if not all(row["from_nothing"] for row in rows):
        notes.append("Not all runs began from nothing; what the weights cost that they began with is not counted.")
    return {"points": told, "clips": clips, "notes": notes}


@torch.inference_mode()
def loss_of(generator: Generator, scenes: Sequence[Scene]) -> list[float]:
    """The mean held-out flow loss at each level of LEVELS, of scenes encoded by the model's own VAE."""
    vae, (dit,), text = generator.vae, [part() for part in generator.parts.experts], generator.parts.text()
    weight = next(vae.parameters())
    sums = np.zeros(len(LEVELS))
    for start in range(0, len(scenes), AT_ONCE):
        some = scenes[start : start + AT_ONCE]
        latents = []
        for scene in some:
            video = torch.from_numpy(scene.render()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
            latents.append(vae.normalise(vae.encode(video.to(weight.device, weight.dtype))[0].float())[0])
        patches_LP, layout = pack(latents, (1, 1, 1))
        states = text.encode([scene.caption for scene in some])
        batch = Batch(patches_LP, layout, [each.to(patches_LP.device) for each in states])
        sums += len(some) * np.array(held_out_loss(dit, batch, seed=start))
    return [float(total) / len(scenes) for total in sums]


def make_sheet(
    points: Sequence[Point],
    rows: Sequence[dict[str, Any]],
    settings: Settings,
    output: Path,
    prompts: Sequence[str] = SHOWN,
    seeds: Sequence[int] = SEEDS,
    on_clip: Callable[[int, int], None] | None = None,
) -> Record:
    """Write the picture: the curve, and under it prompts and seeds, a column for each point; raises as `generate` does.

    `rows` are what `measure` found. `on_clip(done, total)` is told of each clip.
    """
    target = check_sheet_target(output)
    wanted = [(prompt, seed) for prompt in prompts for seed in seeds]
    strips: list[list[Image.Image]] = [[] for _ in wanted]
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        for point in points:
            hibari = Hibari(replace(settings, model=str(point.folder)))
            for index, (prompt, seed) in enumerate(wanted):
                request = GenerationRequest(prompt=prompt, seconds=SECONDS, seed=seed, model=str(point.folder))
                record = hibari.generate(request, output=Path(folder) / f"{len(records)}.mp4")
                _, frames = decode.read_video(record.path, MOST_FRAMES)
                strips[index].append(strip(Clip(np.stack(frames), record.plan.fps, prompt), FRAMES, HEIGHT))
                records.append(record)
                if on_clip is not None:
                    on_clip(len(records), len(points) * len(wanted))
        titles = [f"{prompt}, seed {seed}" for prompt, seed in wanted]
        clips = lay_out(strips, titles, [_head(row, rows[0]) for row in rows])
        return publish_sheet(hibari, _under(curve_of(rows, clips.width), clips), records, target)


def curve_of(rows: Sequence[dict[str, Any]], width: int) -> Image.Image:
    """The held-out loss of all points against their compute, by level and mean."""
    compute = [row["flops"] for row in rows]
    lines = [Line(f"t = {level}", [row["loss"][str(level)] for row in rows]) for level in LEVELS]
    return draw_curve(compute, [*lines, Line("mean", [row["mean"] for row in rows], bold=True)], width)


def times(row: dict[str, Any], first: dict[str, Any]) -> str:
    """How many times the first point's compute a point has: "base", "4x"."""
    ratio = row["flops"] / first["flops"]
    return "base" if row is first else f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def _head(row: dict[str, Any], first: dict[str, Any]) -> str:
    return f"{times(row, first)} compute: {in_short(row['flops'])} FLOPs, loss {row['mean']:.3f}"


def _under(curve: Image.Image, clips: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (clips.width, curve.height + clips.height), PAPER)
    sheet.paste(curve, (0, 0))
    sheet.paste(clips, (0, curve.height))
    return sheet
