"""Models and tokenizers that transformers runs, out of folders alone: nothing is fetched, unpickled or executed."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from hibari.errors import BadWeights, MissingDependency, install
from hibari.model.weights.original_encoders import load_original

EXTRA = "wan"  # of pyproject.toml: what this room needs
UNREAD = frozenset({"visual_projection.weight"})
"""Published beside an image encoder, for a pooled vector that no model here reads."""


def load_pretrained(class_name: str, folder: Path, device: torch.device | str, dtype: torch.dtype) -> Any:
    """A frozen model with every weight accounted for; raises BadWeights or MissingDependency.

    A file stands for a folder: it is the part of an original checkpoint.
    """
    library = _transformers()
    if folder.is_file():
        made = load_original(getattr(library, class_name), folder, dtype)
        return made.to(device).requires_grad_(False).eval()
    library.utils.logging.disable_progress_bar()  # the person has ours
    try:
        model, notes = getattr(library, class_name).from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise BadWeights(f"{folder}: not a whole {class_name} ({_first_line(error)}).") from error
    wrong = sorted({*notes["missing_keys"], *notes["unexpected_keys"]} - UNREAD)
    wrong += sorted(key for key, *_ in notes["mismatched_keys"])
    if wrong:
        raise BadWeights(f"{folder}: not this {class_name}: {len(wrong)} keys differ, such as {wrong[0]}.")
    return model.to(device).requires_grad_(False).eval()


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder; raises BadWeights or MissingDependency."""
    try:
        return _transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise BadWeights(f"{folder}: not a tokenizer ({_first_line(error)}).") from error


def _first_line(error: Exception) -> str:
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingDependency(
            "published models read prompts and pictures with transformers, which is not here.", hint=install(EXTRA)
        ) from error
    return transformers
