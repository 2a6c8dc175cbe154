"""`hibari generate`: a sentence, or a file of requests, becomes files."""

import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from hibari.cli import complain
from hibari.cli.options import (
    Cache,
    Device,
    Dtype,
    Fast,
    GuidanceInterval,
    Home,
    Json,
    Memory,
    Model,
    Offload,
    Storage,
    new_app,
    shortcuts_of,
)
from hibari.cli.progress import watcher
from hibari.config import Settings, launch
from hibari.errors import Held, InvalidRequest, Refused
from hibari.produce import NO_SEED_ABOVE, Hibari, Job, OnProgress, Progress, Record
from hibari.produce.foreseen import in_words
from hibari.provenance.ids import GenerationId
from hibari.request import GenerationRequest, seeds

app = new_app()
OF_ONE_REQUEST = (
    "prompt",
    "image",
    "end_image",
    "video",
    "references",
)  # at fault where a screen says no; anything else stops all of them


@app.command(epilog="Paths of the files made are all that is on standard output.")
def generate(
    prompt: Annotated[str | None, typer.Argument(help="What to show, in plain English.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to make: .mp4, or .png, .webp, .jpg for a picture.")
    ] = None,
    model: Model = None,
    size: Annotated[str | None, typer.Option(help="Delivered size, such as 576x336.", metavar="WxH")] = None,
    seconds: Annotated[float | None, typer.Option(help="Duration; 0 makes a picture.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frames a second; the model's own by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Starting noise; the same seed gives the same frames.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly to follow the prompt; 1 is not at all.")] = None,
    guidance_2: Annotated[
        float | None, typer.Option(help="The same of a second transformer, for little noise, where a model has one.")
    ] = None,
    fast: Fast = None,
    negative: Annotated[str | None, typer.Option(help="What to keep away from.", metavar="TEXT")] = None,
    count: Annotated[int, typer.Option("-n", help="How many takes, with seeds that follow each other.")] = 1,
    image: Annotated[Path | None, typer.Option(help="Start frame.")] = None,
    end_image: Annotated[Path | None, typer.Option(help="End frame, of a model that takes one beside --image.")] = None,
    video: Annotated[Path | None, typer.Option(help="Clip to redraw, or with --extend to go on from.")] = None,
    extend: Annotated[bool, typer.Option("--extend", help="Make --seconds of what follows --video.")] = False,
    references: Annotated[
        list[Path] | None, typer.Option("--reference", help="Picture or clip of what is to appear.", metavar="FILE")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="How freely --image or --video is redrawn: 0 keeps it, 1 forgets it.")
    ] = None,
    consent: Annotated[
        str | None,
        typer.Option(help="Who is in these: adults who agreed, minors (guardian agrees), nobody real."),
    ] = None,
    loras: Annotated[
        list[str] | None,
        typer.Option(
            "--lora", help="LoRA to lay on the model: a name or a file; may be repeated.", metavar="L[:WEIGHT]"
        ),
    ] = None,
    cache: Cache = None,
    guidance_interval: GuidanceInterval = None,
    device: Device = None,
    dtype: Dtype = None,
    memory: Memory = None,
    storage: Storage = None,
    offload: Offload = None,
    latents: Annotated[
        str | None,
        typer.Option(help="Finish a video that was made and failed after it.", metavar="ID"),
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Requests, one JSON object a line.", metavar="FILE.jsonl")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Make a video, or a picture, from a sentence."""
    fitting: dict[str, Any] = {"memory": memory, "storage": storage, "offload": offload}
    given_settings = {"home": home, "device": device, "dtype": dtype, **fitting}
    hibari = Hibari(Settings.load(**given_settings))
    if launch().rank:
        hibari.follow()
        return 0
    shared: dict[str, Any] = {
        "model": model,
        "size": size,
        "seconds": seconds,
        "fps": fps,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "guidance_2": guidance_2,
        "fast": fast,
        "negative": negative,
        "image": image,
        "end_image": end_image,
        "video": video,
        "extend": extend or None,
        "references": references or None,
        "strength": strength,
        "consent": consent,
        "loras": loras or None,
        "shortcuts": None if cache is None and guidance_interval is None else shortcuts_of(cache, guidance_interval),
    }
    shared = {name: value for name, value in shared.items() if value is not None}
    if latents is not None:
        if prompt is not None or from_file is not None:
            raise InvalidRequest("what was made has its prompt.", option="latents", hint="Leave the prompt out.")
        idle = [*shared, *(["storage"] if storage is not None else []), *(["count"] if count != 1 else [])]
        if idle:
            raise InvalidRequest("it was settled when the video was made.", option=idle[0], hint="Leave it out.")
        code = _finish(hibari, latents, output, as_json=as_json)
        hibari.close()
        return code
    if from_file is None:
        if prompt is None:
            raise InvalidRequest(
                "it is missing.", option="prompt", hint='Say what to show: hibari generate "a red fox".'
            )
        jobs = list(_prepare(hibari, [shared | {"prompt": prompt}], output, count))
    elif prompt is not None:
        raise InvalidRequest("a prompt and --from exclude each other.", option="from")
    else:
        jobs = list(_prepare(hibari, [shared | line for line in _lines(from_file)], output, count))
    _check_targets(jobs)
    code = _make(hibari, jobs, as_json=as_json)
    hibari.close()
    return code


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The requests of a file, each checked for unknown fields; raises InvalidRequest with the line's number."""
    known = {field.name for field in fields(GenerationRequest)} - {"latents"} | {"output"}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read ({error}).", option="from") from error
    found = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = True
        try:
            values = json.loads(line)
        except ValueError as error:
            raise InvalidRequest(f"line {number} is not JSON ({error}).", option="from") from error
        wrong = _wrong_with(values, known)
        if wrong:
            raise InvalidRequest(f"line {number}: {wrong}.", option="from", hint=f"Fields: {', '.join(sorted(known))}.")
        yield values | {"line": number}
    if not found:
        raise InvalidRequest(
            f"{path} is empty.", option="from", hint='One JSON object a line: {"prompt": "a red fox"}.'
        )


def _wrong_with(values: object, known: set[str]) -> str:
    """What is wrong with the shape of one line; its values are the request's to check."""
    if not isinstance(values, dict) or "prompt" not in values:
        return "no prompt"
    if not isinstance(values.get("output", ""), str):
        return "output is not text"
    unknown = sorted(values.keys() - known)
    return f"unknown: {', '.join(unknown)}" if unknown else ""


def _prepare(hibari: Hibari, requests: list[dict[str, Any]], output: Path | None, count: int) -> Iterator[Job]:
    """Every take of every request, checked; with one output name and many takes, the takes are numbered."""
    numbered = output is not None and len(requests) * count > 1
    take = 0
    for values in requests:
        line, own_output = values.pop("line", None), values.pop("output", None)
        try:
            request = GenerationRequest(**values)
            first = secrets.randbelow(NO_SEED_ABOVE) if request.seed is None else request.seed
            for seed in seeds(first, count):
                take += 1
                target = own_output or output
                if numbered and not own_output and output is not None:
                    target = output.with_stem(f"{output.stem}-{take}")
                yield hibari.prepare(GenerationRequest(**values | {"seed": seed}), target)
        except InvalidRequest as error:
            if line is None:
                raise
            raise InvalidRequest(
                f"line {line}: {error.option}: {error.message}", option="from", hint=error.hint
            ) from error


def _check_targets(jobs: list[Job]) -> None:
    """Raise InvalidRequest where two takes would write one file."""
    targets = [job.target for job in jobs]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise InvalidRequest(f"{twice} would be made twice.", option="output", hint="Give each its own output or seed.")


def _make(hibari: Hibari, jobs: list[Job], *, as_json: bool) -> int:
    """Make one after the other; one that the screens refuse or hold does not stop the rest. Returns the exit code."""
    code, said = 0, set[str]()
    for number, job in enumerate(jobs, 1):
        title = job.model.name if len(jobs) == 1 else f"{job.model.name} {number}/{len(jobs)}"
        try:
            with watcher(title) as on_progress:
                record = hibari.generate(job, on_progress=_noting(job, said, on_progress))
        except (Refused, Held) as error:
            if len(jobs) == 1 or error.option not in OF_ONE_REQUEST:
                raise
            code = complain(f"{number} of {len(jobs)}: {error}", error.option)
            continue
        _say(record, as_json=as_json)
    return code


def _finish(hibari: Hibari, id: str, output: Path | None, *, as_json: bool) -> int:
    """Deliver what was made and not finished."""
    with watcher(id) as on_progress:
        record = hibari.finish(GenerationId.parse(id), output=output, on_progress=on_progress)
    _say(record, as_json=as_json)
    return 0


def _say(record: Record, *, as_json: bool) -> None:
    print(json.dumps(record.as_dict()) if as_json else record.path, flush=True)
    print(closing_line(record), file=sys.stderr)


def _noting(job: Job, said: set[str], on_progress: OnProgress | None) -> OnProgress:
    """The callback; once the screens let a request pass, what there is to say of it is said, and once alone."""

    def show(progress: Progress) -> None:
        if progress.stage != "screen":
            way = in_words(job.fitted) if job.fitted is not None else ""
            for note in (job.advice, *job.plan.notes, way):
                if note and note not in said:
                    said.add(note)
                    print(f"hibari: {note}", file=sys.stderr)
        if on_progress is not None:
            on_progress(progress)

    return show


def closing_line(record: Record) -> str:
    """What was made and where the time went, for a person."""
    plan = record.plan
    what = (
        f"{plan.seconds:g} s of {plan.delivered} at {plan.fps} fps"
        if plan.seconds
        else f"a picture of {plan.delivered}"
    )
    spent = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in record.seconds.items())
    total = sum(record.seconds.values())
    made = f"{what} by {record.model} ({record.revision}), seed {plan.seed}, in {total:.1f} s ({spent})"
    notes = "".join(f"\nhibari: {note}" for note in record.notes)
    return f"{made}{notes}\nsigned · watermarked · recorded as {record.id}"
