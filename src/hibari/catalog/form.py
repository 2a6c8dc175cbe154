"""How a model's parts work together, as its folder says: which pipeline it is, and what runs it. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hibari.catalog.card import BETWEEN

Backend = Literal["native", "diffusers"]
Start = Literal["tokens", "channels"]
Pictures = Literal["none", "one", "two"]

FORCING = frozenset(
    {
        "SkyReelsV2DiffusionForcingPipeline",
        "SkyReelsV2DiffusionForcingImageToVideoPipeline",
        "SkyReelsV2DiffusionForcingVideoToVideoPipeline",
    }
)
"""Pipelines of models that learned a noise level for each latent frame."""

NATIVE = FORCING | {"WanPipeline", "WanImageToVideoPipeline", "SkyReelsV2Pipeline", "SkyReelsV2ImageToVideoPipeline"}
"""Pipelines, by their class in a model_index.json, that Hibari runs itself; any other is diffusers' to run."""

SETTINGS = frozenset({"negative", "steps", "guidance", "guidance_2", "flow_shift", "strength", "loras"})
"""What a request may set and not every model's runner can follow."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A model's form; of one that diffusers runs, the first three alone mean anything.

    `pipeline` is the class that its model_index.json names. Of SETTINGS, `settings` take effect. `experts` are its
    transformers' folders, the one for high noise first, and the second takes over below the noise level `boundary`. A
    start image comes in as known `tokens` at level 0, or as `channels` beside the noise; with `image_states`
    cross-attention sees it too. `rolling`: it learned a noise level for each latent frame, so that a long video is made
    piece by piece.
    """

    pipeline: str
    backend: Backend = "native"
    settings: frozenset[str] = SETTINGS
    experts: tuple[str, ...] = ("transformer",)
    boundary: float = 0.0
    start: Start = "tokens"
    image_states: Pictures = "none"
    rolling: bool = False

    @property
    def has_latents(self) -> bool:
        """Whether what it makes is decoded here, so that there are latents to keep and to preview."""
        return self.backend == "native"


def expert_folders(index: Mapping[str, Any]) -> tuple[str, ...]:
    """The folders of the transformers that a model_index.json names."""
    second = index.get("transformer_2")
    return ("transformer", "transformer_2") if isinstance(second, list) and second[-1:] != [None] else ("transformer",)


def form_of(index: dict[str, Any], transformer: dict[str, Any], channels: int, time: int) -> Form:
    """The form of a native model; raises ValueError for one that is none.

    `index` is its model_index.json, `transformer` the config of its first transformer; its VAE makes latents of so many
    `channels`, each of `time` frames.
    """
    pipeline, experts = str(index.get("_class_name")), expert_folders(index)
    stated, taken = index.get("boundary_ratio"), transformer["in_channels"]
    boundary = stated if len(experts) == 2 else 0.0
    if not isinstance(boundary, float) or (len(experts) == 2 and not 0 < boundary < 1):
        raise ValueError(f"two transformers, and boundary_ratio is {boundary}")
    # Beside the noise there may be a mask, a channel for each frame of a latent, and the latent of what is known.
    if taken not in (channels, 2 * channels + time):
        raise ValueError(f"{channels} latent channels, and the transformer takes {taken}")
    pictures: Pictures = "none"
    if transformer.get("image_dim") is not None:
        pictures = "one" if transformer.get("pos_embed_seq_len") is None else "two"
    start: Start = "tokens" if taken == channels else "channels"
    if pictures != "none" and start == "tokens":
        raise ValueError("the transformer sees pictures, and takes no start image")
    idle = {"strength"} if start == "channels" else set()
    idle |= {"guidance_2"} if len(experts) == 1 else set()
    return Form(
        pipeline=pipeline,
        experts=experts,
        boundary=boundary,
        settings=SETTINGS - idle,
        start=start,
        image_states=pictures,
        rolling=pipeline in FORCING,
    )


def check_fit(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ValueError where what one part makes is not what another reads, as far as their configs state it."""
    transformer, vae = configs["transformer"], configs["vae"]
    encoder, image = configs.get("text_encoder", {}), configs.get("image_encoder", {})
    given = [("text encoder", encoder.get("d_model", encoder.get("hidden_size")), "text_dim")]
    given.append(("image encoder", image.get("hidden_size"), "image_dim"))
    if {"image_size", "patch_size"} <= image.keys() and transformer.get("pos_embed_seq_len") is not None:
        states = 2 * ((image["image_size"] // image["patch_size"]) ** 2 + 1)
        given.append(("two pictures through the image encoder", states, "pos_embed_seq_len"))
    for part, makes, name in given:
        if makes is not None and makes != transformer.get(name):
            raise ValueError(f"{part}: {makes}, and the transformer's {name} is {transformer.get(name)}")
    strides = {"scale_factor_spatial": 8, "scale_factor_temporal": 4}
    if {"dim_mult", "temperal_downsample"} <= vae.keys():
        real = (
            2 ** (len(vae["dim_mult"]) - 1) * (vae.get("patch_size") or 1),
            2 ** sum(map(bool, vae["temperal_downsample"])),
        )
        for (name, usual), makes in zip(strides.items(), real, strict=True):
            if vae.get(name, usual) != makes:
                raise ValueError(f"the VAE's {name} is {vae.get(name, usual)}, and its layers make {makes}")


def learned_verbs(index: dict[str, Any], form: Form) -> tuple[str, ...]:
    """What a published model of this form learned; `index` is its model_index.json."""
    if form.start == "channels":
        return {"none": ("image to video", BETWEEN), "one": ("image to video",), "two": (BETWEEN,)}[form.image_states]
    verbs = ["text to video", "text to image", "video to video"]
    # The others learned one noise level for a whole clip, and know nothing of a first frame at level 0.
    if form.rolling or index.get("expand_timesteps"):
        verbs.append("image to video")
    return (*verbs, "extend") if form.rolling else tuple(verbs)
