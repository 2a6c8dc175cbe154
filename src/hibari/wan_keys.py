"""The two names of every layer of a Wan transformer: diffusers', and that of original checkpoints. No torch here.

"*" stands for the number of a block. What follows a layer's name in a key (".weight") is the same on both sides.
SkyReels-V2 has the same names, and two layers for the frame rate.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o", "norm_q": "norm_q", "norm_k": "norm_k"}
_IMAGE = {"add_k_proj": "k_img", "add_v_proj": "v_img", "norm_added_k": "norm_k_img"}

ORIGINAL_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "patch_embedding": "patch_embedding",
        "condition_embedder.time_embedder.linear_1": "time_embedding.0",
        "condition_embedder.time_embedder.linear_2": "time_embedding.2",
        "condition_embedder.time_proj": "time_projection.1",
        "condition_embedder.text_embedder.linear_1": "text_embedding.0",
        "condition_embedder.text_embedder.linear_2": "text_embedding.2",
        "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
        "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
        "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
        "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
        "condition_embedder.image_embedder.pos_embed": "img_emb.emb_pos",
        "fps_embedding": "fps_embedding",
        "fps_projection.net.0.proj": "fps_projection.0",
        "fps_projection.net.2": "fps_projection.2",
        "blocks.*.scale_shift_table": "blocks.*.modulation",
        **{f"blocks.*.attn1.{ours}": f"blocks.*.self_attn.{theirs}" for ours, theirs in _ATTENTION.items()},
        **{f"blocks.*.attn2.{ours}": f"blocks.*.cross_attn.{theirs}" for ours, theirs in (_ATTENTION | _IMAGE).items()},
        "blocks.*.norm2": "blocks.*.norm3",
        "blocks.*.ffn.net.0.proj": "blocks.*.ffn.0",
        "blocks.*.ffn.net.2": "blocks.*.ffn.2",
        "proj_out": "head.head",
        "scale_shift_table": "head.modulation",
    }
)
"""Published name to original name."""

PUBLISHED_NAMES: Mapping[str, str] = MappingProxyType({original: name for name, original in ORIGINAL_NAMES.items()})
"""Original name to published name."""


def original_name(published: str) -> str | None:
    """The original name of a layer, or of a parameter that is no layer's; None for one that the originals lack."""
    return _renamed(published, ORIGINAL_NAMES)


def published_name(original: str) -> str | None:
    """The published name of a layer, or of a parameter that is no layer's; None for a strange one."""
    return _renamed(original, PUBLISHED_NAMES)


def _renamed(name: str, table: Mapping[str, str]) -> str | None:
    number = re.match(r"blocks\.(\d+)\.", name)
    other = table.get(name.replace(number.group(), "blocks.*.", 1) if number else name)
    return other.replace("*", number.group(1)) if other is not None and number else other
