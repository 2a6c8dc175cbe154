"""`hibari evaluate`: what a model's clips show, how its VAE rebuilds, how good judges and the safety screen are."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hibari.cli.options import Cache, GuidanceInterval, Home, Json, new_app, shortcuts_of
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.media.files import beside, check_writable

if TYPE_CHECKING:
    from hibari.evaluate.judges import Judges
    from hibari.worlds import SpritePack, World

app = new_app()
app.info.help = "Measure a model: prompt following, reconstruction, a gallery; the safety screen; the judges."

Model = Annotated[str | None, typer.Option(help="Name or folder; `hibari models` lists them.")]
Count = Annotated[int, typer.Option("-n", help="How many clips.", min=2, max=100_000)]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="File for the whole result.", metavar="FILE.json")]
Pack = Annotated[Path | None, typer.Option(help="Sprite pack; the one that comes with Hibari by default.")]
AgeBand = Literal["adult", "teen", "unknown"]
Parts = Literal["all", "rules", "classifier"]
JudgesFolder = Annotated[Path | None, typer.Option(help="Folder of other judges than those that come with Hibari.")]


@app.command()
def prompts(
    model: Model = None,
    count: Count = 200,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.", min=1)] = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly to follow the prompt.")] = None,
    judges: JudgesFolder = None,
    pack: Pack = None,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """Prompt following on held-out triples, seeds in order: a table, and with -o every answer as JSON."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    _check(output)
    from hibari.evaluate import following, report
    from hibari.evaluate.makers import load_generator, model_maker, world_of
    from hibari.evaluate.prompts import held_out_scenes, plain_world, prompts_of

    generator = load_generator(settings, model or "")
    world = plain_world(world_of(generator.model, _pack(pack)))
    panel = _panel(judges, world)
    asked = prompts_of(held_out_scenes(world, count))
    answers = []
    for answer in following.ask(model_maker(generator, steps=steps, guidance=guidance), panel, asked):
        answers.append(answer)
        _tell(f"clip {len(answers)} of {count}")
    facts = {"model": generator.model.name, "revision": generator.model.revision, "dtype": str(generator.dtype)}
    return _finish(facts | following.summarise(answers), output, report.following_table)


@app.command()
def vae(
    model: Model = None,
    count: Annotated[int, typer.Option("-n", help="Clips of each size.", min=1, max=10_000)] = 8,
    judged: Annotated[int, typer.Option(help="Rebuilt clips of the default size to judge.", min=1, max=10_000)] = 50,
    judges: JudgesFolder = None,
    pack: Pack = None,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """PSNR of held-out clips and pictures through the VAE at every render size, and what judges see in them.

    The judges' share on rebuilt clips is the most that a transformer on this VAE can reach.
    """
    settings = Settings.load(home=home, device=device, dtype=dtype)
    _check(output)
    from hibari import catalog
    from hibari.evaluate import reconstruction, report
    from hibari.evaluate.makers import world_of
    from hibari.evaluate.prompts import plain_world
    from hibari.machine import pick_device, pick_dtype
    from hibari.model.weights import load_vae

    found = catalog.find(model or settings.model, settings)
    place = pick_device(settings.device)
    coder = load_vae(found.places["vae"], place, pick_dtype(settings.dtype, place))
    world = plain_world(world_of(found, _pack(pack)))
    panel = _panel(judges, world)
    result = reconstruction.measure_vae(coder, world, [(size.width, size.height) for size in found.card.sizes], count)
    result |= {"model": found.name, "revision": found.revision}
    result["judged"] = reconstruction.ceiling(coder, panel, world, judged)
    return _finish(result, output, report.vae_table)


@app.command()
def judges(
    train: Annotated[bool, typer.Option("--train", help="Train new judges first.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where they are, or are to be written.")] = None,
    count: Count = 300,
    pack: Pack = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="For everything in the pack, not the starter's words.")
    ] = False,
) -> int:
    """Score the judges on held-out clips of the world; with --train, train them for it first."""
    from hibari.evaluate import judge_training, report
    from hibari.evaluate.judges import SHIPPED, Judges
    from hibari.worlds import STARTER, SpritePack, World
    from hibari.worlds.vocabulary import whole as everything

    sprites = _pack(pack) or SpritePack.load()
    world = World(sprites, everything(sprites) if whole else STARTER)
    place = folder or SHIPPED
    if train:
        panel = judge_training.train_judges(
            world, judge_training.JudgeTraining(), lambda text: print(text, file=sys.stderr)
        )
    else:
        panel = Judges.load(place)
    words = world.vocabulary
    panel.require(objects=words.objects, backgrounds=words.backgrounds)
    card = judge_training.score_judges(panel, world, count)
    if train:
        panel.save(place, card)
    print(report.judges_table(card), end="")
    return 0 if judge_training.passes(card) else 1


@app.command()
def gallery(
    output: Annotated[Path, typer.Option("-o", "--output", help="Picture to make.")] = Path("gallery.png"),
    seeds: Annotated[int, typer.Option(help="How many takes of each prompt.", min=1, max=8)] = 4,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """Ten fixed prompts with a few seeds each, as one picture."""
    settings = Settings.load(home=home, device=device, dtype=dtype, model=model)
    from hibari.evaluate import gallery as sheets
    from hibari.produce import Hibari

    def told(done: int, total: int) -> None:
        _tell(f"clip {done} of {total}")

    record = sheets.gallery(Hibari(settings), output, seeds=range(seeds), on_clip=told)
    print(record.path)
    print(f"signed · watermarked · recorded as {record.id}", file=sys.stderr)
    return 0


@app.command()
def safety(
    prompts: Annotated[
        Path | None, typer.Option(help="Other test prompts than those that come with Hibari.", metavar="FILE.jsonl")
    ] = None,
    age_band: Annotated[AgeBand, typer.Option(help="Whose limits in the policy.")] = "adult",
    parts: Annotated[Parts, typer.Option(help="The whole screen, or a part of it.")] = "all",
    output: Output = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """How much unsafe the prompt screen stops and how much harmless it lets through, under this policy."""
    settings = Settings.load(home=home)
    _check(output)
    from hibari.evaluate import safety as table

    asked = table.read_prompts(prompts or table.PROMPTS)
    judged = []
    for answer in table.judge(table.screen_of(settings, age_band, parts), asked):
        judged.append(answer)
        _tell(f"prompt {len(judged)} of {len(asked)}")
    show = _as_json if as_json else table.safety_table
    return _finish(table.summarise(judged), output, show)


@app.command()
def frames(
    model: Model = None,
    count: Count = 40,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.", min=1)] = 8,
    pack: Pack = None,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """How often the frame screen holds or refuses what the model makes of harmless prompts, seeds in order from 0."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    _check(output)
    from hibari.evaluate import frame_alarms as alarms
    from hibari.evaluate.makers import delivered_maker, load_generator, world_of
    from hibari.provenance.places import SAFETY
    from hibari.safety.frames import FrameScreen
    from hibari.safety.policy import Policy

    policy = Policy.load(settings.policy)
    screen = FrameScreen.load(policy, settings.home / SAFETY)
    generator = load_generator(settings, model or "")
    world, clips = world_of(generator.model, _pack(pack)), []
    for clip in alarms.look(delivered_maker(generator, steps=steps), screen, world, range(count)):
        clips.append(clip)
        _tell(f"clip {len(clips)} of {count}")
    facts = {"model": generator.model.name, "revision": generator.model.revision, "steps": steps}
    return _finish(facts | alarms.summarise(clips, policy), output, alarms.alarms_table)


@app.command()
def shortcuts(
    prompt: Annotated[str, typer.Argument(help="What to show.")],
    model: Model = None,
    cache: Cache = None,
    guidance_interval: GuidanceInterval = None,
    seconds: Annotated[float | None, typer.Option(help="Duration of each clip.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.", min=1)] = None,
    count: Annotated[int, typer.Option("-n", help="How many clips, with seeds from 1 on.", min=1, max=1000)] = 2,
    output: Output = None,
    device: Device = None,
    dtype: Dtype = None,
    home: Home = None,
) -> int:
    """How far the frames made with --cache or --guidance-interval are from the exact ones, and what time they save."""
    settings = Settings.load(home=home, device=device, dtype=dtype)
    _check(output)
    given = shortcuts_of(cache, guidance_interval)
    if not str(given):
        raise InvalidRequest(
            "there is nothing to measure.", option="cache", hint="Give --cache or --guidance-interval."
        )
    from hibari.evaluate import shortcuts as measuring
    from hibari.evaluate.makers import load_generator
    from hibari.request import GenerationRequest

    request = GenerationRequest(prompt=prompt, seconds=seconds, steps=steps, shortcuts=given)
    result = measuring.measure(load_generator(settings, model or ""), request, range(1, count + 1))
    return _finish(result, output, measuring.shortcuts_table)


def _panel(folder: Path | None, world: "World") -> "Judges":
    """The judges in a folder, or those that come with Hibari; raises HibariError where the world is not theirs."""
    from hibari.evaluate.judges import SHIPPED, Judges

    panel, words = Judges.load(folder or SHIPPED), world.vocabulary
    panel.require(objects=words.objects, motions=words.motions, backgrounds=words.backgrounds)
    return panel


def _pack(folder: Path | None) -> "SpritePack | None":
    from hibari.worlds import SpritePack

    return None if folder is None else SpritePack.load(folder)


def _check(output: Path | None) -> None:
    if output is None:
        return
    if output.suffix != ".json":
        raise InvalidRequest(f"{output.name} cannot be written.", option="output", hint="The result is a .json file.")
    check_writable(output)


def _finish(result: dict[str, Any], output: Path | None, as_table: Callable[[dict[str, Any]], str]) -> int:
    """Print the table, and write the whole result where a file is asked for."""
    if output is not None:
        with beside(output) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(as_table(result), end="")
    return 0


def _as_json(result: dict[str, Any]) -> str:
    return json.dumps(result) + "\n"


def _tell(text: str) -> None:
    """A counter on a terminal, and nothing in a file."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
