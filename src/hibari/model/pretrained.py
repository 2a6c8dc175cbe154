"""Models and tokenizers that transformers runs, out of folders alone: nothing is fetched, unpickled or executed."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from hibari.errors import BadWeights, MissingDependency, install
from hibari.model.quantised import Kind
from hibari.model.weights.folder import read_tensors, tensor_keys
from hibari.model.weights.original_encoders import EMBEDDINGS, fill_text_encoder, load_original

EXTRA = "wan"  # of pyproject.toml: what this room needs
UNREAD = frozenset({"visual_projection.weight"})
"""Published beside an image encoder, for a pooled vector that no model here reads."""


def load_pretrained(
    class_name: str, folder: Path, device: torch.device | str, dtype: torch.dtype, storage: Kind = "exact"
) -> Any:
    """A frozen model with every weight accounted for; raises BadWeights or MissingDependency.

    A file stands for a folder: it is the part of an original checkpoint. `storage` says how a UMT5EncoderModel keeps
    the linear layers of its blocks, which are brought into that form one by one.
    """
    library = _transformers()
    if folder.is_file():
        made = load_original(getattr(library, class_name), folder, torch.device(device), dtype, storage)
        return made.requires_grad_(False).eval()
    if storage != "exact":
        made = _load_stored(getattr(library, class_name), folder, torch.device(device), dtype, storage)
        return made.requires_grad_(False).eval()
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


def _load_stored(encoder: Any, folder: Path, device: torch.device, dtype: torch.dtype, storage: Kind) -> Any:
    """A UMT5EncoderModel's folder; transformers would hold all of it in `dtype` first. Raises BadWeights."""
    try:
        config = encoder.config_class.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            model = encoder(config)
        shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        named = [name for name in EMBEDDINGS if name in tensor_keys(folder)] or EMBEDDINGS[:1]
        left_out = set(EMBEDDINGS).difference(named)
        tensors = read_tensors(folder, {key: shape for key, shape in shapes.items() if key not in left_out})
        return fill_text_encoder(model, tensors, device, dtype, storage)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise BadWeights(f"{folder}: not a whole {encoder.__name__} ({_first_line(error)}).") from error


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
