"""A LoRA file of our own transformer, under the names that diffusers' `load_lora_weights` reads.

Reading files, of any maker, is `catalog/loras.py`'s and `generate/loras.py`'s matter.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from hibari.errors import OutputError
from hibari.model.weights.keys import published_key


def save_lora(pairs: Mapping[str, tuple[Tensor, Tensor]], path: Path, dtype: torch.dtype) -> None:
    """Write pairs A (rank, in) and B (out, rank) by our layers' names. Raises OutputError.

    No alpha is written: without one it is the rank, and a pair counts as it is.
    """
    tensors: dict[str, Tensor] = {}
    for name, (down, up) in pairs.items():
        layer = published_key(f"{name}.weight").removesuffix(".weight")
        tensors[f"transformer.{layer}.lora_A.weight"] = down.to(dtype).cpu().contiguous()
        tensors[f"transformer.{layer}.lora_B.weight"] = up.to(dtype).cpu().contiguous()
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, fresh, metadata={"format": "pt"})
        fresh.chmod(0o644)  # safetensors makes files that their owner alone may read
        fresh.replace(path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path}: cannot write the LoRA ({error}).") from error
