"""All measures of physics of one model, each beside its target and beside what the judge says of real clips."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hibari.catalog.world import World as Words
from hibari.evaluate.judges import Judges
from hibari.evaluate.makers import model_maker, start_maker
from hibari.evaluate.physics import start_image
from hibari.evaluate.physics.bounces import BOUNCES
from hibari.evaluate.physics.permanence import PERMANENCE
from hibari.evaluate.physics.probe import Probe, held_against_others, look, own_scores
from hibari.evaluate.physics.relation import RELATION
from hibari.evaluate.report import table
from hibari.generate.generator import Generator
from hibari.worlds import World

PROBES = (PERMANENCE, BOUNCES, RELATION)
NAMES = (*(probe.name for probe in PROBES), start_image.NAME)
NOT_IN_WORLD = "not in this model's world"
MOST_REAL = 50  # clips of each kind that the judge's own scores are of


@dataclass(frozen=True, kw_only=True)
class Way:
    """How clips are made, the model's own habits where nothing is given; `on_clip(done, total)` is told of each."""

    steps: int | None = None
    guidance: float | None = None
    fast: bool | None = None
    on_clip: Callable[[int, int], None] | None = None


def measure(
    generator: Generator, judges: Judges, world: World, count: int, way: Way, only: Collection[str] = NAMES
) -> dict[str, Any]:
    """Every measure of `only`, with `count` clips each; `world` holds the model's words. Raises HibariError."""
    words = generator.model.world or Words(objects=())
    wanted = [probe for probe in PROBES if probe.name in only]
    keeps = start_image.NAME in only and "image to video" in generator.model.card.verbs
    total, done = count * (sum(probe.known(words) for probe in wanted) + keeps), 0

    def tell() -> None:
        nonlocal done
        done += 1
        if way.on_clip is not None:
            way.on_clip(done, total)

    measures: dict[str, Any] = {}
    for probe in wanted:
        made = _made(generator, judges, probe, world, count, way, tell) if probe.known(words) else None
        real = own_scores(probe, judges.frames, probe.asked(world, min(count, MOST_REAL)))
        measures[probe.name] = {"target": probe.target, "binary": probe.binary, "judge": real, "made": made}
    if start_image.NAME in only:
        measures[start_image.NAME] = _kept(generator, judges, world, count, way, tell if keeps else None)
    return {"clips": count, "measures": measures}


def _made(
    generator: Generator, judges: Judges, probe: Probe, world: World, count: int, way: Way, tell: Callable[[], None]
) -> dict[str, Any]:
    make = model_maker(generator, steps=way.steps, guidance=way.guidance, fast=way.fast, seconds=probe.seconds)
    questions, saw = probe.asked(world, count), []
    for question in questions:
        saw.append(look(judges.frames, make(question.prompt), generator.model.card.fps, probe.seconds))
        tell()
    scores = [probe.score(*pair) for pair in zip(saw, questions, strict=True)]
    made = probe.summarise(scores)
    if probe.asks_of_each:
        made["others' questions"] = held_against_others(probe, saw, questions)
    made["answers"] = [
        {"seed": one.scene.seed, "prompt": one.text, "score": round(score, 4)}
        for one, score in zip(questions, scores, strict=True)
    ]
    return made


def _kept(
    generator: Generator, judges: Judges, world: World, count: int, way: Way, tell: Callable[[], None] | None
) -> dict[str, Any]:
    asked, kept = start_image.scenes(generator, world, count), []
    result: dict[str, Any] = {
        "target": start_image.TARGET,
        "judge": start_image.own_scores(generator, asked[:MOST_REAL]),
        "made": None,
    }
    if tell is None:
        return result
    make = start_maker(generator, steps=way.steps, guidance=way.guidance, fast=way.fast)
    for one in start_image.keep(generator, judges, asked, make):
        kept.append(one)
        tell()
    answers = [{"seed": one.prompt.seed, "prompt": one.prompt.text, "lost_db": round(one.lost_db, 4)} for one in kept]
    return result | {"made": start_image.summarise(kept) | {"answers": answers}}


def physics_table(result: Mapping[str, Any]) -> str:
    """What the model makes beside its targets, then what the judge says of real and of spoiled clips."""
    made, judged = [], []
    for name, part in result["measures"].items():
        aim = "at most" if name == start_image.NAME else "at least"
        cells = _cells(name, part, part["made"]) if part["made"] else [NOT_IN_WORLD, ""]
        count = str(part["made"]["of"]) if part["made"] else ""
        made.append([name, *cells, f"{aim} {_number(name, part, part['target'])}", count])
        judged += [[name, kind, *_cells(name, part, row)] for kind, row in part["judge"].items()]
    text = table(("measure", "made clips", "95% interval", "target", "clips"), made)
    return f"{text}{_beside(result)}\n{table(('measure', 'the judge, on', 'score', '95% interval'), judged)}"


def _beside(result: Mapping[str, Any]) -> str:
    """What stands beside the measures, a line each."""
    lines = []
    for name, part in result["measures"].items():
        made = part["made"] or {}
        if "others' questions" in made:
            share = _number(name, part, made["others' questions"]["mean"])
            lines.append(f"{name}: {share} where each made clip is held against the others' questions.\n")
        if "object_kept" in made:
            kept = made["object_kept"]
            lines.append(
                f"{name}: the first frame has {made['first_frame_db']['mean']:.1f} dB, the VAE's own "
                f"{made['rebuilt_db']['mean']:.1f} dB; {kept['hits']} of {kept['of']} clips keep the image's object.\n"
            )
    return "".join(f"\n{line}" for line in lines)


def _cells(name: str, part: Mapping[str, Any], row: Mapping[str, Any]) -> Sequence[str]:
    low, high = (_number(name, part, row[side]) for side in ("low", "high"))
    return [_number(name, part, row["mean"]), f"{low} to {high}"]


def _number(name: str, part: Mapping[str, Any], value: float) -> str:
    if name == start_image.NAME:
        return f"{value:.2f} dB"
    return f"{100 * value:.1f}%" if part["binary"] else f"R² {value:.3f}"
