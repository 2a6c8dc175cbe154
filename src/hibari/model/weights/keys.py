"""The key table of the transformer: our module names to those of diffusers' WanTransformer3DModel.

"*" stands for the number of a block. What follows a module's name in a key (".weight") is the same on
both sides. The VAE needs no table: its module names are the published ones.
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
    }
)


def published_key(key: str, table: Mapping[str, str] = DIT_KEYS) -> str:
    """The published name of one of our keys; a key that the table does not have is our own mistake."""
    number = re.search(r"\.(\d+)\.", key)
    starred = key.replace(number.group(), ".*.", 1) if number else key
    name, leaf = (starred, "") if starred in table else starred.rsplit(".", 1)
    return table[name].replace("*", number.group(1) if number else "") + (leaf and f".{leaf}")
