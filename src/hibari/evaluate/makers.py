"""What a model makes of a prompt, as frames in memory, for judges only: no file comes of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hibari import catalog
from hibari.config import Settings
from hibari.errors import BadWeights
from hibari.evaluate.following import MakeClip
from hibari.evaluate.frame_alarms import MakeFrames
from hibari.evaluate.prompts import JUDGED, Prompt
from hibari.generate.backend import Prompt as Text
from hibari.generate.generator import Generator
from hibari.generate.plan import make_plan
from hibari.machine import pick_device, pick_dtype
from hibari.media.fit import fit
from hibari.produce.stills import spread
from hibari.request import GenerationRequest
from hibari.safety.frames import picked
from hibari.worlds import STARTER, SpritePack, Vocabulary, World

FPS = 12
SECONDS = JUDGED / FPS


def model_maker(
    generator: Generator,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    fast: bool | None = None,
    seconds: float = SECONDS,
) -> MakeClip:
    """Clips at the model's default size, of a second and a half; its own habits where nothing is given."""

    def make(prompt: Prompt) -> np.ndarray:
        request = GenerationRequest(prompt=prompt.text, seconds=seconds, steps=steps, guidance=guidance, fast=fast)
        return _frames(generator, request, prompt.seed)

    return make


def start_maker(
    generator: Generator, *, steps: int | None = None, guidance: float | None = None, fast: bool | None = None
) -> Callable[[Prompt, np.ndarray], np.ndarray]:
    """The same clips from a start image, uint8 (height, width, 3) at the model's default size."""

    def make(prompt: Prompt, start: np.ndarray) -> np.ndarray:
        request = GenerationRequest(
            prompt=prompt.text, seconds=SECONDS, steps=steps, guidance=guidance, fast=fast, image=Path("start")
        )
        return _frames(generator, request, prompt.seed, start)

    return make


def revision_of(
    generator: Generator, *, steps: int | None = None, guidance: float | None = None, fast: bool | None = None
) -> str:
    """The weights that make clips so: the model's revision, and the fast version's file where that makes them."""
    plan = make_plan(GenerationRequest(prompt="-", steps=steps, guidance=guidance, fast=fast), generator.model, 0)
    return "+".join([generator.model.revision, *(lora.mark for lora in plan.laid_on)])


def _frames(generator: Generator, request: GenerationRequest, seed: int, start: np.ndarray | None = None) -> np.ndarray:
    plan = make_plan(request, generator.model, seed)
    known = () if start is None else generator.know_pictures(plan, start)
    frames = list(generator.decode(generator.make_latent(plan, Text(request.prompt), known)))
    return np.stack([frames[pick] for pick in plan.picks])


def delivered_maker(generator: Generator, *, steps: int | None = None) -> MakeFrames:
    """Of such clips the frames that the door looks at, as they are delivered; those on the sheet of stills too."""

    def make(seed: int, text: str) -> np.ndarray:
        plan = make_plan(GenerationRequest(prompt=text, seconds=SECONDS, steps=steps), generator.model, seed)
        rendered = list(generator.decode(generator.make_latent(plan, Text(text))))
        wanted = {*picked(plan.frames, plan.fps), *spread(plan.frames)}
        return np.stack([fit(rendered[plan.picks[index]], *plan.delivered) for index in sorted(wanted)])

    return make


def load_generator(settings: Settings, model: str = "") -> Generator:
    """A model as the settings say, by its name; raises UnknownModel or BadWeights, also for one that diffusers runs."""
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    device = pick_device(settings.device)
    found = catalog.find(model or settings.model, settings)
    if found.form.backend != "native":
        raise BadWeights(
            f"{found.name} is run by diffusers, and only what Hibari runs itself is judged.", option="model"
        )
    return Generator.load(found, device, pick_dtype(settings.dtype, device))


def world_of(model: catalog.Model, pack: SpritePack | None = None) -> World:
    """The world that a model says it was trained on; the starter world where it does not say."""
    if model.world is None or not model.world.motions:
        return World(pack, STARTER)
    words = model.world
    return World(pack, Vocabulary(objects=words.objects, motions=words.motions, backgrounds=words.backgrounds))
