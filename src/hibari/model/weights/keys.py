"""The key table of the transformer: our module names to those of diffusers' WanTransformer3DModel.

The last lines are of forms that see pictures or are told the frame rate (SkyReelsV2Transformer3DModel). "*" stands for
the number of a block. What follows a module's name in a key (".weight") is the same on both sides. The VAE needs no
table: its module names are the published ones.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

DIT_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "patch_embedding": "patch_embedding",
        "time_embedder.linear_1": "condition_embedder.time_embedder.linear_1",
        "time_embedder.linear_2": "condition_embedder.time_embedder.linear_2",
        "time_proj": "condition_embedder.time_proj",
        "text_embedder.linear_1": "condition_embedder.text_embedder.linear_1",
        "text_embedder.linear_2": "condition_embedder.text_embedder.linear_2",
        "blocks.*.modulation": "blocks.*.scale_shift_table",
        "blocks.*.self_attention.to_q": "blocks.*.attn1.to_q",
        "blocks.*.self_attention.to_k": "blocks.*.attn1.to_k",
        "blocks.*.self_attention.to_v": "blocks.*.attn1.to_v",
        "blocks.*.self_attention.to_out": "blocks.*.attn1.to_out.0",
        "blocks.*.self_attention.norm_q": "blocks.*.attn1.norm_q",
        "blocks.*.self_attention.norm_k": "blocks.*.attn1.norm_k",
        "blocks.*.norm2": "blocks.*.norm2",
        "blocks.*.cross_attention.to_q": "blocks.*.attn2.to_q",
        "blocks.*.cross_attention.to_k": "blocks.*.attn2.to_k",
        "blocks.*.cross_attention.to_v": "blocks.*.attn2.to_v",
        "blocks.*.cross_attention.to_out": "blocks.*.attn2.to_out.0",
        "blocks.*.cross_attention.norm_q": "blocks.*.attn2.norm_q",
        "blocks.*.cross_attention.norm_k": "blocks.*.attn2.norm_k",
        "blocks.*.ffn_in": "blocks.*.ffn.net.0.proj",
        "blocks.*.ffn_out": "blocks.*.ffn.net.2",
        "proj_out": "proj_out",
        "modulation": "scale_shift_table",
        "image_embedder.positions": "condition_embedder.image_embedder.pos_embed",
        "image_embedder.norm_in": "condition_embedder.image_embedder.norm1",
        "image_embedder.embedder.linear_1": "condition_embedder.image_embedder.ff.net.0.proj",
        "image_embedder.embedder.linear_2": "condition_embedder.image_embedder.ff.net.2",
        "image_embedder.norm_out": "condition_embedder.image_embedder.norm2",
        "blocks.*.cross_attention.image_to_k": "blocks.*.attn2.add_k_proj",
        "blocks.*.cross_attention.image_to_v": "blocks.*.attn2.add_v_proj",
        "blocks.*.cross_attention.image_norm_k": "blocks.*.attn2.norm_added_k",
        "fps_embedding": "fps_embedding.weight",
        "fps_projection.linear_1": "fps_projection.net.0.proj",
        "fps_projection.linear_2": "fps_projection.net.2",
    }
)


def published_key(key: str, table: Mapping[str, str] = DIT_KEYS) -> str:
    """The published name of one of our keys; a key that the table does not have is our own mistake."""
    number = re.search(r"\.(\d+)\.", key)
    starred = key.replace(number.group(), ".*.", 1) if number else key
    name, leaf = (starred, "") if starred in table else starred.rsplit(".", 1)
    return table[name].replace("*", number.group(1) if number else "") + (leaf and f".{leaf}")
