"""A model that diffusers runs: its folder checked, and what a request may ask of it. Neither diffusers nor torch here.

Which classes there are, and what they take, is the installed diffusers' say (`pipelines.py`); what no file states is
in `families.py`. Nothing of the folder is ever executed: no code in it, and no pickle.
"""

from dataclasses import replace
from math import floor
from pathlib import Path
from typing import Any

from hibari.catalog import card as cards
from hibari.catalog.digests import Digests
from hibari.catalog.families import Family, family_of
from hibari.catalog.folder import SHIFTS, Model, is_number, read_header, read_json, state_of, stated_shift, weight_files
from hibari.catalog.form import Form
from hibari.catalog.licence import stated_licence
from hibari.catalog.pipelines import Call, call_of, pipelines_folder
from hibari.errors import BadWeights
from hibari.request import MAX_SIDE, MIN_SIDE, Size

LIBRARIES = ("diffusers", "transformers")
FRAMES = ("num_frames", "video_length", "frames")  # what the number of frames is called
GIVEN = frozenset({"prompt", "image", "height", "width", *FRAMES})  # what a request can say of what a call needs
BARE = ("Tokenizer", "TokenizerFast", "Processor", "Extractor", "Scheduler")  # classes that have no weights
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
RATES = ("frame_rate", "fps")  # what a call names the frames of a second
DEFAULT_SECONDS = 5.0
FALLBACK = (832, 480)  # pixels, where neither the family nor the pipeline says


def open_foreign(folder: Path, pipeline: str, index: dict[str, Any], name: str, digests: Digests) -> Model:
    """A folder that diffusers runs, checked without its tensors; raises BadWeights or MissingDependency."""
    if not isinstance(index.get("_class_name"), str):
        raise BadWeights(f"{folder}: its model_index.json names no pipeline of diffusers.", option="model")
    _refuse_code(folder)
    call = call_of(pipeline)
    _check_call(pipeline, call)
    parts = _parts(folder, index)
    files = tuple(path for part, class_name in parts.items() for path in _files(folder / part, class_name))
    if not files:
        raise BadWeights(f"{folder}: its model_index.json names no part with weights.", option="model")
    for path in files:
        read_header(path)
    scheduler = _scheduler(folder)
    family = family_of(pipeline)
    own = _card(folder, name, pipeline, call, family, _guidance(folder, call), parts.get("scheduler", "its own"))
    form = Form(pipeline=pipeline, backend="diffusers", settings=_settings(call, scheduler, folder))
    return Model(
        card=_stated(folder / cards.FILE, own, form),
        folder=folder,
        form=form,
        strides=family.strides,
        flow_shift=stated_shift(scheduler),
        world=None,
        files=files,
        state=state_of(files),
        digests=digests,
    )


def frames_name(takes: frozenset[str]) -> str:
    """What a call that takes these parameters calls its number of frames; "" where it takes none."""
    return next((name for name in FRAMES if name in takes), "")


def _refuse_code(folder: Path) -> None:
    """Raise BadWeights for a folder that brings code of its own."""
    code = next(folder.rglob("*.py"), None)
    named = next((path for path in sorted(folder.rglob("*.json")) if _names_code(path)), None)
    if code is not None or named is not None:
        raise BadWeights(f"{code or named}: it asks for code of its own, which is never run.", option="model")


def _names_code(path: Path) -> bool:
    return path.name.endswith("config.json") and "auto_map" in read_json(path)


def _check_call(pipeline: str, call: Call) -> None:
    """Raise BadWeights for a pipeline that no request of ours can run."""
    lacks = [name for name in ("prompt", "height", "width") if name not in call.takes]
    lacks += [] if frames_name(call.takes) else ["num_frames"]
    needs = sorted(call.needs - GIVEN)
    if needs:
        raise BadWeights(f"{pipeline} needs {', '.join(needs)}, which no request here has.", option="model")
    if lacks:
        raise BadWeights(f"{pipeline} takes no {', '.join(lacks)}: no pipeline that Hibari can ask.", option="model")
    if not call.gives_frames:
        raise BadWeights(f"{pipeline} gives no frames under that name: no video that Hibari can take.", option="model")
    if not call.counts:
        raise BadWeights(f"{pipeline} counts no steps: it could be neither followed nor stopped.", option="model")


def _parts(folder: Path, index: dict[str, Any]) -> dict[str, str]:
    """The parts that a model_index.json names, and their classes; raises BadWeights for one of a foreign library."""
    parts = {}
    for part, value in index.items():
        if part.startswith("_") or not isinstance(value, list) or value == [None, None]:
            continue
        if len(value) != 2 or not all(isinstance(each, str) and each.isidentifier() for each in (part, *value)):
            raise BadWeights(f"{folder}: its {part} is {value}, which is no class of a library.", option="model")
        library, class_name = value
        if library not in LIBRARIES and not (pipelines_folder() / library / "__init__.py").is_file():
            raise BadWeights(
                f"{folder}: its {part} comes from {library}, and only {' and '.join(LIBRARIES)} are used.",
                option="model",
            )
        parts[part] = class_name
    return parts


def _files(part: Path, class_name: str) -> tuple[Path, ...]:
    """The weights of a part, none for one that has none by its nature; raises BadWeights where something is missing."""
    if not part.is_dir() or not any(part.glob("*.json")):
        raise BadWeights(f"{part}: not there, though model_index.json names a {class_name}.", option="model")
    if not (part / "config.json").is_file() or class_name.endswith(BARE):
        return ()
    pickles = [path.name for path in sorted(part.iterdir()) if path.suffix in PICKLES]
    if pickles and not any(part.glob("*.safetensors")):
        raise BadWeights(
            f"{part}: {', '.join(pickles)} is a pickle, and pickles are never opened.",
            option="model",
            hint="Take a release of the model in safetensors.",
        )
    return tuple(weight_files(part))


def _scheduler(folder: Path) -> dict[str, Any]:
    path = folder / "scheduler" / "scheduler_config.json"
    return read_json(path) if path.is_file() else {}


def _settings(call: Call, scheduler: dict[str, Any], folder: Path) -> frozenset[str]:
    """What of a request's settings takes effect with this pipeline."""
    guider = (folder / "guider").is_dir()
    takes = {
        # With a second guidance beside the one that it learned, a pipeline looks at the negative prompt for that alone.
        "negative": "negative_prompt" in call.takes and "true_cfg_scale" not in call.takes,
        "steps": "num_inference_steps" in call.takes,
        "guidance": "guidance_scale" in call.takes and not guider,
        "flow_shift": shift_name(scheduler) != "",
    }
    return frozenset(name for name, is_so in takes.items() if is_so)


def shift_name(scheduler: dict[str, Any]) -> str:
    """What a scheduler's config calls its shift, where one stands and is not worked out anew for each size; else ""."""
    if scheduler.get("use_dynamic_shifting") or scheduler.get("use_flow_sigmas") is False:
        return ""
    return next((key for key in SHIFTS if is_number(scheduler.get(key))), "")


def _guidance(folder: Path, call: Call) -> float:
    """The guidance that a generation gets: of the guider in the folder, or else the call's default."""
    guider = folder / "guider" / "guider_config.json"
    found = read_json(guider).get("guidance_scale") if guider.is_file() else call.defaults.get("guidance_scale")
    return float(found) if is_number(found) else 1.0


def _card(
    folder: Path, name: str, pipeline: str, call: Call, family: Family, guidance: float, scheduler: str
) -> cards.Card:
    """The card of a folder without one, by its family and its pipeline's own defaults."""
    usual = call.defaults.get(frames_name(call.takes))
    frames = family.frames or (usual if isinstance(usual, int) else 49)
    fps = next((round(call.defaults[name]) for name in RATES if is_number(call.defaults.get(name))), family.fps)
    longest = max(floor((frames - 1) / fps * 100) / 100, 1 / fps)
    steps = call.defaults.get("num_inference_steps")
    return cards.Card(
        name=name,
        revision="unknown",
        licence=stated_licence(folder),
        about=f"{pipeline}, run by diffusers. {family.about}".strip(),
        sizes=_sizes(call, family),
        fps=fps,
        seconds=min(DEFAULT_SECONDS, longest),
        max_seconds=longest,
        steps=steps if isinstance(steps, int) else 1,
        guidance=guidance,
        solver=scheduler,
        verbs=_verbs(pipeline, call),
    )


def _stated(path: Path, own: cards.Card, form: Form) -> cards.Card:
    """The card in a file, which says nothing of abilities that the pipeline has not; without a file, its own."""
    if not path.is_file():
        return own
    stated = cards.Card.load(path, own.verbs)
    return replace(
        stated,
        verbs=tuple(verb for verb in stated.verbs if verb in own.verbs) or own.verbs,
        guidance=stated.guidance if "guidance" in form.settings else own.guidance,
        guidance_2=None,
        solver=own.solver,
        references=0,
        rolling=None,
    )


def _sizes(call: Call, family: Family) -> tuple[Size, ...]:
    if family.sizes:
        return tuple(map(Size.parse, family.sizes))
    usual = [call.defaults.get(side) for side in ("width", "height")]
    sides = [side for side in usual if isinstance(side, int) and MIN_SIDE <= side <= MAX_SIDE]
    width, height = sides if len(sides) == len(usual) else FALLBACK
    multiple = family.strides.pixel_multiple
    landscape = Size(width // multiple * multiple, height // multiple * multiple)
    return tuple(dict.fromkeys((landscape, Size(landscape.height, landscape.width))))


def _verbs(pipeline: str, call: Call) -> tuple[str, ...]:
    """What a pipeline can do: with a start image alone, without one alone, or both."""
    if "image" not in call.takes:
        return ("text to video",)
    alone = "image" in call.needs or any(word in pipeline for word in ("ImageToVideo", "Image2Video", "I2V"))
    return ("image to video",) if alone else ("text to video", "image to video")
