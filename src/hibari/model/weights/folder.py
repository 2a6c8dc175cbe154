"""A published model folder: its config.json and safetensors files, read strictly and written whole.

A part of an original checkpoint stands for a folder too: it is read in the words of the published form.
Every error is a BadWeights of one line that names the file and, where there is one, the key.
"""

import json
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hibari.errors import BadWeights, OutputError
from hibari.model.weights.originals import dit_key, read_pickle, vae_key, vae_values
from hibari.wan_layout import CLASS as ORIGINAL
from hibari.wan_layout import dit_values

CONFIG = "config.json"
TENSORS = "diffusion_pytorch_model.safetensors"
NAMES = (TENSORS, "model.safetensors")  # SkyReels-V2's 540p checkpoints have the second

# No published model comes near these; a damaged config must not make us build a million layers.
LARGEST_NUMBER = 1 << 16
LARGEST_COUNT = 512

Config = TypeVar("Config")


def read_class(folder: Path, allowed: Collection[str]) -> str:
    """The class that a folder's config.json names, one of those allowed."""
    found = _published_values(folder).get("_class_name")
    if not isinstance(found, str) or found not in allowed:
        raise BadWeights(f"{folder / CONFIG}: holds a {found}, not a {' or '.join(allowed)}.")
    return found


def read_config(
    folder: Path,
    form: type[Config],
    *,
    lacks: frozenset[str],
    may_lack: frozenset[str],
    unread: frozenset[str] = frozenset(),
) -> Config:
    """The config.json of a folder as a `form`, a frozen dataclass with the published field names.

    The file must not have the fields that it `lacks`, and need not have those that it `may_lack`; their defaults then
    hold. Keys in `unread` mean nothing, and one with a leading underscore is a note of whoever wrote the file.
    """
    path = folder / CONFIG
    hints = typing.get_type_hints(form)
    values: dict[str, Any] = {}
    for key, value in _published_values(folder).items():
        if key in hints and key not in lacks:
            values[key] = _convert(value, hints[key], f"{path}: {key}")
        elif key not in unread and not key.startswith("_"):
            raise BadWeights(f"{path}: unknown key {key}.")
    for key in hints:
        if key not in values and key not in may_lack:
            raise BadWeights(f"{path}: no {key}.")
    return form(**values)


def read_tensors(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], unread: Mapping[str, tuple[int, ...]] = MappingProxyType({})
) -> dict[str, Tensor]:
    """The tensors of a folder, which must be exactly `shapes`. They may still lie in the mapped file: copy them.

    Those named in `unread` may be there as well, and are left where they are.
    """
    found: dict[str, Tensor] = {}
    known = {**unread, **shapes}
    if folder.is_file():
        found = read_pickle(folder, vae_key)
        for key, tensor in found.items():
            _check(folder, key, tuple(tensor.shape), shapes)
    else:
        original = _read_json(folder / CONFIG).get("_class_name") == ORIGINAL
        for path, listed in _tensor_files(folder).items():
            found |= {key: tensor for key, tensor in _read_file(path, listed, known, original) if key not in unread}
    for key, tensor in found.items():
        if not tensor.is_floating_point():
            raise BadWeights(f"{folder}: {key} is {tensor.dtype}, not a floating-point tensor.")
    for key in sorted(shapes.keys() - found.keys()):
        raise BadWeights(f"{folder}: no tensor {key}.")
    return found


def tensor_keys(folder: Path) -> set[str]:
    """The keys of all tensors in a folder; raises BadWeights."""
    keys: set[str] = set()
    for path in _tensor_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                keys.update(file.keys())
        except (SafetensorError, OSError) as error:
            raise BadWeights(f"{path}: not a whole safetensors file ({error}).") from error
    return keys


def _read_file(
    path: Path, listed: set[str] | None, known: Mapping[str, tuple[int, ...]], original: bool
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of one safetensors file under their published keys, each checked before it is read."""
    try:
        with safe_open(path, framework="pt") as file:
            keys = set(file.keys())
            for key in sorted(keys ^ (keys if listed is None else listed)):
                raise BadWeights(f"{path}: {key} does not stand in both the index and the file.")
            for key in sorted(keys):
                published = dit_key(key) if original else key
                _check(path, published, tuple(file.get_slice(key).get_shape()), known)
                yield published, file.get_tensor(key)
    except KeyError as error:
        raise BadWeights(f"{path}: unexpected tensor {error.args[0]}.") from error
    except (SafetensorError, OSError) as error:
        raise BadWeights(f"{path}: not a whole safetensors file ({error}).") from error


def _published_values(place: Path) -> dict[str, Any]:
    """The published config of a part: a folder's config.json, or what an original checkpoint's part is in its words."""
    if place.is_file():
        return vae_values(place)
    raw = _read_json(place / CONFIG)
    return dit_values(place) if raw.get("_class_name") == ORIGINAL else raw


def write_folder(folder: Path, class_name: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a folder that diffusers opens; a file that stood there is replaced whole or not at all."""
    text = json.dumps({"_class_name": class_name, **config}, indent=2, sort_keys=True) + "\n"
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{TENSORS}.new"
        save_file(whole, new, metadata={"format": "pt"})
        new.chmod(0o644)  # safetensors makes files that their owner alone may read
        new.replace(folder / TENSORS)
        new = folder / f".{CONFIG}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(folder / CONFIG)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{folder}: cannot write the weights ({error}).") from error


def published_config(config: Any, *, left_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A config dataclass as the JSON values of a config.json."""
    return {key: value for key, value in asdict(config).items() if key not in left_out}


def _check(path: Path, key: str, shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> None:
    if key not in shapes:
        raise BadWeights(f"{path}: unexpected tensor {key}.")
    if shape != shapes[key]:
        raise BadWeights(f"{path}: {key} has shape {shape}, not {shapes[key]}.")


def _tensor_files(folder: Path) -> dict[Path, set[str] | None]:
    """The safetensors files of a folder and the keys that an index promises in each (None: no index)."""
    for name in NAMES:
        if (folder / name).is_file():
            return {folder / name: None}
    index = next((path for name in NAMES if (path := folder / f"{name}.index.json").is_file()), None)
    if index is None:
        if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
            raise BadWeights(f"{folder}: only pickled weights, which can run code; safetensors are needed.")
        raise BadWeights(f"{folder / TENSORS}: no such file.")
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise BadWeights(f"{index}: no weight_map.")
    files: dict[Path, set[str] | None] = {}
    for key, name in weight_map.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise BadWeights(f"{index}: {key} is in {name!r}, which is not a safetensors file of this folder.")
        keys = files.setdefault(folder / name, set())
        assert keys is not None
        keys.add(key)
    return files


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadWeights(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise BadWeights(f"{path}: not JSON ({error}).") from error
    if not isinstance(raw, dict):
        raise BadWeights(f"{path}: not a JSON object.")
    return raw


def _convert(value: object, hint: Any, where: str) -> Any:
    """A JSON value as the type that a config field is annotated with."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        return None if value is None else _convert(value, arguments[0], where)
    if origin is tuple:
        open_ended = arguments[-1] is Ellipsis
        fits = isinstance(value, list) and len(value) <= LARGEST_COUNT and (open_ended or len(value) == len(arguments))
        if fits and isinstance(value, list):
            return tuple(_convert(item, arguments[0], where) for item in value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif type(value) is hint:
        largest = LARGEST_COUNT if where.endswith(("num_layers", "num_res_blocks")) else LARGEST_NUMBER
        if not isinstance(value, int) or isinstance(value, bool) or 0 < value <= largest:
            return value
    raise BadWeights(f"{where} is {value!r}, not a fitting {getattr(hint, '__name__', hint)}.")
