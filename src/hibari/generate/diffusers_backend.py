"""Any video pipeline of diffusers, behind the Protocol that the native generator has too.

What lies between the text and the pixels is the pipeline's own affair: its latents come packed, scaled or in pieces,
and mean nothing elsewhere. So this backend's "latents" are the frames themselves, uint8 (3,T,H,W): the pipeline decodes
them, `decode` hands them out, and there are no estimates to preview and nothing worth keeping.

Legend: C channels (3), T frames, H W pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from math import ceil
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hibari.catalog import Model
from hibari.catalog.families import family_of
from hibari.catalog.foreign import LIBRARIES, RATES, frames_name, shift_name
from hibari.errors import BadWeights, InvalidRequest, MissingDependency, install
from hibari.generate.backend import Prompt
from hibari.generate.conditions import Condition, KnownFrames
from hibari.generate.fit import Fit
from hibari.generate.plan import Plan

TILED_ABOVE = 1024 * 512
"""Pixels of a frame above which a VAE works in tiles; by the size alone, so that a seed gives the same frames again."""
ROOM = 0.8  # of an accelerator's free memory: what weights may take to lie there all at once


@dataclass(frozen=True, eq=False)
class DiffusersBackend:
    """A pipeline of diffusers, loaded. `takes` are the parameters of its call, and `scheduler` is as it was loaded."""

    model: Model
    pipeline: Any
    scheduler: Any
    takes: frozenset[str]
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(cls, model: Model, device: torch.device, dtype: torch.dtype) -> Self:
        """Read a model's folder, no code and no pickle of it; raises BadWeights or MissingDependency."""
        pipeline = _load_pipeline(model, dtype)
        pipeline.set_progress_bar_config(disable=True)
        _place(pipeline, device)
        takes = frozenset(signature(type(pipeline).__call__).parameters)
        return cls(model, pipeline, pipeline.scheduler, takes, device, dtype)

    @property
    def num_threads(self) -> int:
        """Processor threads that torch uses; they are part of what makes numbers repeat."""
        return torch.get_num_threads()

    def make_latent(
        self,
        plan: Plan,
        prompt: Prompt,
        conditions: Sequence[Condition] = (),
        on_step: Callable[[int], None] | None = None,
        noise_CTHW: Tensor | None = None,
        on_estimate: Callable[[Tensor], None] | None = None,  # noqa: ARG002  # a pipeline hands out none
    ) -> Tensor:
        """The frames (3,T,H,W) that the pipeline makes, uint8; raises InvalidRequest for what it refuses.

        The pipeline draws its noise itself, all of it from the plan's seed.
        """
        assert noise_CTHW is None, "a pipeline draws its own noise"
        self._check_lengths(prompt)
        arguments = self._arguments(plan, prompt, conditions)
        window = family_of(self.model.form.pipeline).window
        windows = ceil(plan.render.frames / window) if window else 1
        self.pipeline.progress_bar = _Steps(on_step, plan.steps, windows)
        self.pipeline.scheduler = self._fresh_scheduler(plan)
        self._tile(plan)
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(plan.seed)  # for what a pipeline draws past the generator that it is given
                made = self.pipeline(**arguments)
        except ValueError as error:  # a pipeline's own word on what it is asked for
            raise InvalidRequest(f"{self.model.form.pipeline} of diffusers refuses this: {_line(error)}") from error
        finally:
            self.pipeline.maybe_free_model_hooks()
        return self._frames(made.frames[0], plan)

    def in_way(self, fit: Fit) -> Self:  # noqa: ARG002  # diffusers has ways of its own
        """As `Backend.in_way`."""
        return self

    def encode_picture(self, frame: np.ndarray) -> Tensor:
        """A picture (3,1,H,W), as it is: the pipeline encodes it."""
        return torch.from_numpy(frame.copy()).permute(2, 0, 1)[:, None]

    def know_pictures(
        self,
        plan: Plan,  # noqa: ARG002  # a picture is the same to it whatever is planned
        start: np.ndarray,
        end: np.ndarray | None = None,
        level: float = 0.0,
    ) -> tuple[Condition, ...]:
        """The start image as the first frame; a card lets no end image by, and a form no strength."""
        assert end is None and level == 0, "a plan has let neither by"
        return (KnownFrames(self.encode_picture(start)),)

    def encode_clip(self, frames: Iterator[np.ndarray]) -> Tensor:
        """The frames of a clip (3,T,H,W), as they are."""
        return torch.cat([self.encode_picture(frame) for frame in frames], dim=1)

    def decode(self, latent_CTHW: Tensor, fit: Fit | None = None) -> Iterator[np.ndarray]:  # noqa: ARG002  # it is done
        """The frames, one by one, uint8 (height, width, 3)."""
        for frame_CHW in latent_CTHW.unbind(1):
            yield frame_CHW.permute(1, 2, 0).contiguous().numpy()

    def _check_lengths(self, prompt: Prompt) -> None:
        """Raise InvalidRequest for text that the pipeline would cut off without a word."""
        tokenizer = getattr(self.pipeline, "tokenizer", None)
        if tokenizer is None:
            return
        own = signature(type(self.pipeline).__call__).parameters.get("max_sequence_length")
        most = own.default if own is not None and isinstance(own.default, int) else tokenizer.model_max_length
        for option, text in (("prompt", prompt.text), ("negative", prompt.negative)):
            length = len(tokenizer(text, verbose=False)["input_ids"])
            if length > most:
                raise InvalidRequest(
                    f"{length} tokens, and {self.model.name} reads at most {most}.", option=option, hint="Say less."
                )

    def _arguments(self, plan: Plan, prompt: Prompt, conditions: Sequence[Condition]) -> dict[str, Any]:
        """What the pipeline is called with: what the plan says, as far as its call takes it."""
        settings = self.model.form.settings
        values: dict[str, Any] = {
            "prompt": prompt.text,
            "width": plan.render.width,
            "height": plan.render.height,
            frames_name(self.takes): plan.render.frames,
            **dict.fromkeys(RATES, self.model.card.fps),
            "num_inference_steps": plan.steps,
            "generator": torch.Generator("cpu").manual_seed(plan.seed),
            "output_type": "np",
        }
        if "guidance" in settings:
            values["guidance_scale"] = plan.guidance
        if prompt.negative:
            values["negative_prompt"] = prompt.negative
        if conditions:
            values["image"] = _start_image(conditions)
        return {name: value for name, value in values.items() if name in self.takes}

    def _fresh_scheduler(self, plan: Plan) -> Any:
        """The scheduler as it was loaded, with the plan's shift where it has one: none keeps what a walk left in it."""
        config = self.scheduler.config
        given = {} if plan.flow_shift is None else {shift_name(config): plan.flow_shift}
        return type(self.scheduler).from_config(config, **given)

    def _tile(self, plan: Plan) -> None:
        """Have the VAE work in tiles where frames are large and it can: it is where such pipelines run out of room."""
        vae = self.pipeline.components.get("vae")
        if vae is not None and hasattr(vae, "enable_tiling") and hasattr(vae, "disable_tiling"):
            large = plan.render.width * plan.render.height > TILED_ABOVE
            vae.enable_tiling() if large else vae.disable_tiling()

    def _frames(self, video_THWC: np.ndarray, plan: Plan) -> Tensor:
        """What a pipeline made, as frames (3,T,H,W); raises BadWeights or InvalidRequest where it is no such video."""
        frames, height, width, _ = video_THWC.shape
        wanted = plan.render
        if frames < wanted.frames or (height, width) != (wanted.height, wanted.width):
            raise BadWeights(
                f"{self.model.name} made {frames} frames of {width}x{height}, and was asked for {wanted.frames} of"
                f" {wanted.width}x{wanted.height}.",
                option="model",
                hint="State the sizes and the length that it makes in a hibari.json in its folder.",
            )
        made_THWC = np.empty((wanted.frames, height, width, 3), np.uint8)
        for index in range(wanted.frames):
            if not np.isfinite(video_THWC[index]).all():
                raise InvalidRequest(
                    f"{self.model.name} loses its numbers in {str(self.dtype).removeprefix('torch.')}.",
                    option="dtype",
                    hint="Use bfloat16 or float32.",
                )
            made_THWC[index] = (video_THWC[index] * 255).round()
        return torch.from_numpy(made_THWC).permute(3, 0, 1, 2)


class _Steps:
    """Stands for the progress bar that a pipeline counts its steps in, and tells them; what `on_step` raises ends it.

    A pipeline that makes a video in several `windows` walks through the steps in each.
    """

    def __init__(self, on_step: Callable[[int], None] | None, steps: int, windows: int) -> None:
        self.on_step, self.steps, self.windows = on_step, steps, windows
        self.done = 0

    def __call__(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> "_Steps":  # noqa: ARG002
        self.iterable = iterable
        return self

    def __enter__(self) -> "_Steps":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        assert self.iterable is not None, "it counts what it is given"
        for each in self.iterable:
            yield each
            self.update()

    def update(self, count: int = 1) -> None:
        self.done += count
        if self.on_step is not None:
            self.on_step(min(self.done // self.windows, self.steps))


def _start_image(conditions: Sequence[Condition]) -> Image.Image:
    (start,) = conditions
    assert isinstance(start, KnownFrames), "a plan has let nothing else by"
    return Image.fromarray(start.latent_CTHW[:, 0].permute(1, 2, 0).contiguous().numpy())


def _load_pipeline(model: Model, dtype: torch.dtype) -> Any:
    """The pipeline with all its parts, each loaded strictly; raises BadWeights or MissingDependency."""
    try:
        import diffusers
        import transformers

        # Their own bars would run through ours, and diffusers prints whole modules of a pipeline's own.
        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        index = diffusers.DiffusionPipeline.load_config(model.folder, local_files_only=True)
        folders = sorted({path.parent.name for path in model.files})
        parts = {part: _load_part(model.folder / part, index[part], dtype) for part in folders}
        return getattr(diffusers, model.form.pipeline).from_pretrained(
            model.folder, local_files_only=True, use_safetensors=True, dtype=dtype, **parts
        )
    except ImportError as error:
        missing = f"{model.name} needs a package that is not installed ({_line(error)})."
        raise MissingDependency(missing, hint=f"{install('diffusers')}.") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadWeights(f"{model.name} cannot be loaded ({_line(error)}).", option="model") from error


def _load_part(folder: Path, named: Sequence[str], dtype: torch.dtype) -> Any:
    """One part, of a library and a class, with its weights; raises BadWeights unless they are all there.

    diffusers by itself makes up what is missing.
    """
    library, class_name = named
    home = import_module(library if library in LIBRARIES else f"diffusers.pipelines.{library}")
    kind: Any = getattr(home, class_name)
    part, info = kind.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are told of, and refused below
        dtype=dtype,
    )
    wrong = [str(each) for fault in ("missing_keys", "mismatched_keys", "error_msgs") for each in info.get(fault, ())]
    if wrong:
        raise BadWeights(
            f"{folder}: {len(wrong)} of its tensors are missing or do not fit: {wrong[0]}.", option="model"
        )
    return part


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _place(pipeline: Any, device: torch.device) -> None:
    """Put a pipeline on its device, part by part as each is needed where an accelerator does not hold all at once."""
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    weights = sum(each.numel() * each.element_size() for module in modules for each in module.parameters())
    if device.type == "cuda" and weights > ROOM * torch.cuda.mem_get_info(device)[0]:
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
