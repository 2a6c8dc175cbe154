"""Sampling parameters, under the names that several video servers share: read here, for videos and pictures alike.

Those that no model here can honour are known too, so that who sends one is told why it is refused.
"""

from dataclasses import dataclass
from typing import Any

from hibari.catalog import check_lora_names
from hibari.request import LoraUse
from hibari.serve.api.errors import invalid
from hibari.serve.api.wire import Fields

_CACHE = "Every step is computed in full here."
_BETWEEN = "No frames are made up between others here; fps says how many a second are shown."
_LARGER = "The size says how large it is to be."
_SILENT = "Videos are silent here."
NOT_HERE = {
    "boundary_ratio": "Where a second transformer takes over is fixed in each model that has one.",
    "true_cfg_scale": "The models here have one kind of guidance: guidance_scale.",
    "max_sequence_length": "How much of a prompt is read is fixed in each model here.",
    "cache_dit_params": _CACHE,
    "frame_interpolation_exp": _BETWEEN,
    "frame_interpolation_scale": _BETWEEN,
    "frame_interpolation_model_path": _BETWEEN,
    "upscaling_scale": _LARGER,
    "sound_duration": _SILENT,
    "extra_params": "Each parameter is a field of its own here.",
    "reference_url": "A picture is named as input_reference here.",
    "video_url": "A clip comes as video here, to /v1/videos/edits or /v1/videos/extensions.",
}
"""What cannot be had, and why."""
NOT_ON = {
    "enable_teacache": _CACHE,
    "enable_cache_dit": _CACHE,
    "enable_frame_interpolation": _BETWEEN,
    "enable_upscaling": _LARGER,
    "generate_sound": _SILENT,
    "enhance_prompt": "Prompts are taken as they are here.",
}
"""What cannot be switched on; false is what happens anyway."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How something is to be made; None leaves it to the model. `flow_shift` moves the steps towards the noise.

    `fast`: by the model's version of few steps, or by the full one.
    """

    negative: str
    seed: int | None
    steps: int | None
    guidance: float | None
    guidance_2: float | None
    flow_shift: float | None
    fast: bool | None
    loras: tuple[LoraUse, ...] = ()


def read_sampling(fields: Fields) -> Sampling:
    """The sampling parameters of a request; raises ApiError, also for one that could not take effect."""
    for name, why in NOT_HERE.items():
        if fields.given(name) is not None:
            raise invalid(name, why, "not_supported")
    for name, why in NOT_ON.items():
        if fields.flag(name):
            raise invalid(name, why, "not_supported")
    return Sampling(
        negative=fields.text("negative_prompt") or "",
        seed=fields.whole("seed"),
        steps=fields.whole("num_inference_steps"),
        guidance=fields.number("guidance_scale"),
        guidance_2=fields.number("guidance_scale_2"),
        flow_shift=fields.number("flow_shift"),
        fast=fields.flag("fast"),
        loras=_read_loras(fields.raw("lora")),
    )


def _read_loras(given: Any) -> tuple[LoraUse, ...]:
    """The LoRAs of `lora`: an object with a name and a scale, or several in a list. Raises ApiError."""
    if given is None:
        return ()
    uses = []
    for one in given if isinstance(given, list) else [given]:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise invalid("lora", 'Give {"name": NAME, "scale": 1.0}, or a list of them.', "invalid_type")
        strange = one.keys() - {"name", "scale"}
        if strange:
            why = "A LoRA is named here, and lies in the service's own folder."
            raise invalid("lora", f"{why} Leave out {', '.join(sorted(strange))}.", "not_supported")
        if ":" in one["name"]:
            raise invalid("lora", "A name has no weight in it. Give it as scale.")
        scale = one.get("scale", 1.0)
        if isinstance(scale, bool) or not isinstance(scale, int | float):
            raise invalid("lora", "A scale is a number.", "invalid_type")
        uses.append(LoraUse.parse(one["name"])._replace(weight=scale))
    check_lora_names(uses)
    return tuple(uses)


def read_count(fields: Fields, most: int) -> int:
    """How many are asked for, 1 unless said: `n`, or `num_outputs_per_prompt`. Raises ApiError."""
    counts = {name: count for name in ("n", "num_outputs_per_prompt") if (count := fields.whole(name)) is not None}
    for name, count in counts.items():
        if not 1 <= count <= most:
            raise invalid(name, f"Give 1 to {most}." if most > 1 else "One request makes one video.")
    if len(set(counts.values())) > 1:
        raise invalid("n", "It is not what num_outputs_per_prompt says. Leave one of them out.")
    return next(iter(counts.values()), 1)
