"""What the door adds to a generation of 4 seconds: the time of each of its parts, and bytes.

    python benchmarks/door.py [--seconds 4] [--size WxH] [--home DIR]

One clip is made as `hibari generate` makes one, on one thread, its frames in memory before they go through the door.
Each row is one part: seconds on the wall's clock, seconds that this thread worked, and their share of the whole, from
the prompt to the signed file. Encoding is on the list though it is no part of the door: x264's own threads count for it
and for the whole, and so does drawing the visible label, which is stated apart. Bytes are of the file, of the same
frames encoded without the watermark, and of the manifest.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import accounts
import torch

from hibari.evaluate.makers import load_generator
from hibari.generate.backend import Prompt
from hibari.media.encode import write_video
from hibari.media.fit import Frame, fit
from hibari.produce import Hibari, Job, Record
from hibari.produce.door import Door
from hibari.produce.passage import Passage
from hibari.produce.progress import Stopwatch
from hibari.produce.road import deliver
from hibari.provenance.ledger import Making
from hibari.request import GenerationRequest, Size

PROMPT = "an octopus drifts to the right over the ocean at sunset"
SECONDS, SEED = 4.0, 1
DOOR = {"screen": "screening", "mark": "watermark", "sign": "signing", "record": "fingerprint and ledger"}
BEFORE = {"load": "loading the model", "denoise": "denoising", "decode": "decoding and fitting"}


@dataclass
class TwoWatches(Stopwatch):
    """A stopwatch of the wall's time, and beside it one of this thread's own work."""

    work: Stopwatch = field(default_factory=lambda: Stopwatch(clock=time.thread_time))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        with self.work(stage), super().__call__(stage):
            yield


def make_frames(maker: Hibari, job: Job, model: str, watch: TwoWatches) -> tuple[list[Frame], Making]:
    """The frames of the file before any mark, and what is recorded of how they were made."""
    plan = job.plan
    with watch("load"):
        generator = load_generator(maker.settings, model)
    with watch("denoise"):
        latent = generator.make_latent(plan, Prompt(job.request.prompt))
    with watch("decode"):
        rendered = [fit(frame, *plan.delivered) for frame in generator.decode(latent)]
    frames = [rendered[pick] for pick in plan.picks]
    making = Making(
        device=str(generator.device),
        dtype=str(generator.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        latents_sha256=hashlib.sha256(latent.numpy().tobytes()).hexdigest(),
        frames_sha256=hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest(),
    )
    return frames, making


def plain_file(door: Door, job: Job, frames: list[Frame], folder: Path) -> tuple[int, float]:
    """The bytes of the same file without watermark and credentials, and the seconds that its visible label took."""
    start = time.thread_time()
    shown = frames if door.label is None else [door.label.draw(frame) for frame in frames]
    spent = time.thread_time() - start
    write_video(folder / "plain.mp4", shown, job.plan.fps)
    return (folder / "plain.mp4").stat().st_size, spent


def part_rows(watch: TwoWatches, whole: tuple[float, float]) -> list[list[object]]:
    """A row for each part: seconds on the wall, seconds of work, and their shares of the whole, in percent."""
    work = dict(watch.work.seconds)
    # What other threads worked, x264 did.
    work["encode"] += max(0.0, whole[1] - sum(work.values()))
    rows = [
        [name, watch.seconds[stage], work[stage], 100 * watch.seconds[stage] / whole[0], 100 * work[stage] / whole[1]]
        for stage, name in (BEFORE | {"encode": "encoding"} | DOOR).items()
    ]
    door = [[row[column] for row in rows if row[0] in DOOR.values()] for column in range(1, 5)]
    return [*rows, ["the door", *map(sum, door)], ["the whole", *whole, 100.0, 100.0]]


def through_the_door(
    maker: Hibari, job: Job, model: str, watch: TwoWatches
) -> tuple[Record, list[Frame], tuple[float, float]]:
    """Make the clip; the record, the frames before any mark, and seconds of the whole, on the wall and of work."""
    passage = Passage(door=maker.door, job=job, watch=watch)
    wall, work = time.perf_counter(), time.process_time()
    passage.admit()
    frames, making = make_frames(maker, job, model, watch)
    record = passage.hand_over(deliver(passage, iter(frames), lambda: making))
    return record, frames, (time.perf_counter() - wall, time.process_time() - work)


def main() -> None:
    """Generate, let it through the door, and report."""
    parser = accounts.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--size", help="delivered size; the model's own by default")
    given = parser.parse_args()
    size = Size.parse(given.size) if given.size else None
    torch.set_num_threads(1)
    watch = TwoWatches()
    maker = Hibari(home=given.home, model=given.model, device="cpu", threads=1)
    request = GenerationRequest(prompt=PROMPT, seconds=given.seconds, seed=SEED, size=size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = maker.prepare(request, folder / "clip.mp4")
        opened = time.thread_time()
        door = maker.door
        opened = time.thread_time() - opened
        record, frames, whole = through_the_door(maker, job, given.model, watch)
        written = record.path.stat().st_size
        plain, labelling = plain_file(door, job, frames, folder)
        entry = door.ledger.find(record.id)
        assert entry is not None, "it was recorded"
    rows = part_rows(watch, whole)
    *_, (_, door_wall, door_work, _, door_share), _ = rows
    facts = {
        "the door, % of the work": door_share,
        "the door, s of work": door_work,
        "the door, s on the wall": door_wall,
        "watermark, ms of work a frame": 1e3 * watch.work.seconds["mark"] / len(frames),
        "watermark, ms on the wall a frame": 1e3 * watch.seconds["mark"] / len(frames),
        "visible label, ms of work a frame": 1e3 * labelling / len(frames),
        "opening the door once, s of work": opened,
        "bytes of the file": written,
        "bytes of its manifest": len(entry.manifest),
        "bytes without mark and manifest": plain,
        "bytes that the watermark adds": written - len(entry.manifest) - plain,
        "delivered": str(job.plan.delivered),
        "frames": len(frames),
        "steps": job.plan.steps,
        "model": f"{record.model} ({record.revision})",
    }
    head = ("part", "wall, s", "work, s", "% of the wall", "% of the work")
    accounts.report(given.out / "door.json", head, rows, facts)


if __name__ == "__main__":
    main()
