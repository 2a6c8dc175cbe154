"""A published model that is not here, as it would be: for looking ahead, and for nothing that needs a weight.

What its configs will say follows from its shape in the table. Sources: the config.json files' values in wan/configs of
Wan-Video/Wan2.1 and Wan-Video/Wan2.2, and scripts/convert_{wan,skyreelsv2}_to_diffusers.py of huggingface/diffusers.
"""

from pathlib import Path
from typing import Any

from hibari.catalog.find import names
from hibari.catalog.folder import Model
from hibari.catalog.form import FORCING, form_of, learned_verbs
from hibari.catalog.published import Published, published_models
from hibari.config import Settings
from hibari.shapes import Strides
from hibari.wan_layout import BOUNDARY, FIXED, VAES

HEAD_WIDTH = 128
DEPTHS = {1536: (8960, 30), 3072: (14336, 30), 5120: (13824, 40)}
"""By the width of a transformer: numbers in its feed-forward part, and blocks."""


def unpulled(name: str, settings: Settings) -> Model | None:
    """The published model of that name where it can be pulled and is not here; it has no files and no places."""
    if name in names(settings):
        return None
    known = next((each for each in published_models() if each.name == name), None)
    return _as_it_would_be(known, settings.models_folder / name) if known is not None else None


def _as_it_would_be(known: Published, folder: Path) -> Model:
    index, transformer = _index(known), _transformer(known)
    vae = VAES["Wan2.2_VAE.pth" if known.form.channels == 48 else "Wan2.1_VAE.pth"]
    patch: tuple[int, int, int] = tuple(transformer["patch_size"])
    strides = Strides(
        time=vae["scale_factor_temporal"], space=vae["scale_factor_spatial"], channels=vae["z_dim"], patch=patch
    )
    form = form_of(index, transformer, strides.channels, strides.time)
    configs = dict.fromkeys(form.experts, transformer) | {"vae": vae, "text_encoder": {"model_type": "umt5"}}
    return Model(
        card=known.card_of(known.name, known.licence, learned_verbs(index, form)),
        folder=folder,
        form=form,
        strides=strides,
        flow_shift=known.flow_shift,
        world=None,
        files=(),
        configs=configs,
        published=known,
    )


def _index(known: Published) -> dict[str, Any]:
    """What of its model_index.json its form follows from."""
    values: dict[str, Any] = {"_class_name": known.form.pipeline, "expand_timesteps": known.form.channels == 48}
    if known.form.experts == 2:
        values |= {"transformer_2": ["diffusers", "-"], "boundary_ratio": BOUNDARY[known.form.channels]}
    return values


def _transformer(known: Published) -> dict[str, Any]:
    """The published config of its transformer."""
    shape = known.form
    (ffn, layers), sees = DEPTHS[shape.width], shape.channels == 36 and shape.experts == 1
    values = {
        **FIXED,
        "num_attention_heads": shape.width // HEAD_WIDTH,
        "attention_head_dim": HEAD_WIDTH,
        "in_channels": shape.channels,
        "out_channels": 48 if shape.channels == 48 else 16,
        "freq_dim": 256,
        "ffn_dim": ffn,
        "num_layers": layers,
        "image_dim": 1280 if sees else None,
        "added_kv_proj_dim": shape.width if sees else None,
        "pos_embed_seq_len": 514 if shape.two_pictures else None,
    }
    return values | ({"inject_sample_info": True} if shape.pipeline in FORCING else {})
