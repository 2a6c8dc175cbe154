"""One model's folder, checked cheaply: every part there, every config readable, no file cut short."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hibari.catalog import card as cards
from hibari.catalog import world as worlds
from hibari.catalog.form import NATIVE, Form, expert_folders, form_of, learned_verbs
from hibari.errors import BadWeights
from hibari.media.files import file_sha256
from hibari.shapes import Strides

PARTS = {  # with weights, and the classes of them that Hibari runs
    "transformer": ("WanTransformer3DModel", "SkyReelsV2Transformer3DModel"),
    "transformer_2": ("WanTransformer3DModel",),
    "vae": ("AutoencoderKLWan",),
    "text_encoder": ("BertModel", "UMT5EncoderModel"),
    "image_encoder": ("CLIPVisionModel", "CLIPVisionModelWithProjection"),
}
CONFIGS = {
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
    "image_processor": "preprocessor_config.json",
}
METADATA = "__metadata__"  # in a safetensors header, beside its tensors
MAX_HEADER = 100_000_000  # the bound of the safetensors format


@dataclass(frozen=True)
class Model:
    """A model that is here and whole: its card, its folder, and what the folder's configs say."""

    card: cards.Card
    folder: Path
    form: Form
    strides: Strides
    flow_shift: float
    world: worlds.World | None
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def bytes(self) -> int:
        """Bytes of all weights."""
        return sum(path.stat().st_size for path in self.files)

    @cached_property
    def revision(self) -> str:
        """The revision that the card states; for a folder without one, the sha256 of its transformer and VAE."""
        if self.card.revision != "unknown":
            return self.card.revision
        return f"sha256:{_digest(path for path in self.files if path.parent.name != 'text_encoder')[:16]}"

    @cached_property
    def weights_sha256(self) -> str:
        """The sha256 of the sha256 of every weights file, in order: these very weights, whatever the card says."""
        return _digest(self.files)


def open_folder(folder: Path, name: str = "") -> Model:
    """A model's folder, read and checked without its tensors; raises BadWeights."""
    if not folder.is_dir():
        raise BadWeights(f"{folder}: no such folder.", option="model")
    if not (folder / "model_index.json").is_file():
        raise BadWeights(f"{folder}: no model_index.json, so not a diffusers folder.", option="model")
    index = read_json(folder / "model_index.json")
    if (pipeline := str(index.get("_class_name"))) not in NATIVE:
        from hibari.catalog.foreign import open_foreign  # it builds on this room

        return open_foreign(folder, pipeline, index, name or folder.name)
    parts, configs = _parts(folder, index)
    files = tuple(path for part in parts for path in weight_files(folder / part))
    for path in files:
        read_header(path)
    strides, form = _strides(folder, index, configs)
    name = name or folder.name
    card_file, world_file = folder / cards.FILE, folder / worlds.FILE
    return Model(
        card=cards.Card.load(card_file)
        if card_file.is_file()
        else cards.published(name, strides.space, learned_verbs(index, form)),
        folder=folder,
        form=form,
        strides=strides,
        flow_shift=_flow_shift(configs["scheduler"]),
        world=worlds.World.load(world_file) if world_file.is_file() else None,
        files=files,
    )


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file; raises BadWeights where it has none, or its size is not what that promises."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            raise BadWeights(f"{path}: cut short or not safetensors ({size} bytes).", **_AGAIN)
        try:
            header: dict[str, Any] = json.loads(file.read(length))
            tensors = [entry for key, entry in header.items() if key != METADATA]
            ends = [entry["data_offsets"][1] for entry in tensors]
            if not all(type(side) is int for entry in tensors for side in entry["shape"]):
                raise ValueError("a shape is not of whole numbers")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadWeights(f"{path}: its header is damaged.", **_AGAIN) from error
    whole = 8 + length + max(ends, default=0)
    if size != whole:
        what = "cut short" if size < whole else "too long"
        raise BadWeights(f"{path}: {what}, {size} of {whole} bytes.", **_AGAIN)
    return header


_AGAIN = {"option": "model", "hint": "Install or copy the weights again."}


def weight_files(part: Path) -> Iterator[Path]:
    """The safetensors files of one part: those that its index names, or all that are there; raises BadWeights."""
    indexes = sorted(part.glob("*.safetensors.index.json"))
    if indexes:
        shards = read_json(indexes[0]).get("weight_map", {})
        paths = [part / shard for shard in sorted(set(shards.values()))]
    else:
        paths = sorted(part.glob("*.safetensors"))
    if not paths:
        raise BadWeights(f"{part}: no safetensors file.", **_AGAIN)
    for path in paths:
        if not path.is_file():
            raise BadWeights(f"{path}: not there, though its index names it.", **_AGAIN)
        yield path


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises BadWeights."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadWeights(f"{path}: cannot be read ({error.strerror}).", **_AGAIN) from error
    except ValueError as error:
        raise BadWeights(f"{path}: not JSON ({error}).", **_AGAIN) from error
    if not isinstance(found, dict):
        raise BadWeights(f"{path}: not a JSON object.", **_AGAIN)
    return found


def _parts(folder: Path, index: dict[str, Any]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The parts with weights that this folder needs, and the configs of all its parts; raises BadWeights."""
    parts = [*expert_folders(index), "vae", "text_encoder"]
    transformers = {part: read_json(folder / part / "config.json") for part in expert_folders(index)}
    sees_pictures = transformers["transformer"].get("image_dim") is not None
    parts += ["image_encoder"] if sees_pictures else []
    for part in parts:
        found = index[part][1] if isinstance(index.get(part), list) else None
        if found not in PARTS[part]:
            wanted = " or ".join(PARTS[part])
            raise BadWeights(f"{folder}: its {part} is {found}, and Hibari runs {wanted}.", option="model")
    configs = transformers | {
        part: read_json(folder / part / "config.json") for part in parts if part not in transformers
    }
    others = {part: file for part, file in CONFIGS.items() if part != "image_processor" or sees_pictures}
    return parts, configs | {part: read_json(folder / part / file) for part, file in others.items()}


def _strides(folder: Path, index: dict[str, Any], configs: dict[str, dict[str, Any]]) -> tuple[Strides, Form]:
    vae, transformer = configs["vae"], configs["transformer"]
    try:
        # The first published folders do not say their factors; their VAE is the 4x8x8 one.
        time, space = vae.get("scale_factor_temporal", 4), vae.get("scale_factor_spatial", 8)
        patch = tuple(int(side) for side in transformer["patch_size"])
        strides = Strides(
            time=int(time), space=int(space), channels=int(vae["z_dim"]), patch=(patch[0], patch[1], patch[2])
        )
        form = form_of(index, transformer, strides.channels, strides.time)
        for key in ("in_channels", "out_channels", "patch_size", "text_dim", "image_dim"):
            if configs[form.experts[-1]].get(key) != transformer.get(key):
                raise ValueError(f"the two transformers differ in {key}")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadWeights(f"{folder}: VAE and transformer do not fit ({error}).", **_AGAIN) from error
    return strides, form


def _flow_shift(scheduler: dict[str, Any]) -> float:
    """The timestep shift frozen into a scheduler's config: UniPC calls it `flow_shift`, FlowMatchEuler `shift`."""
    for key in ("flow_shift", "shift"):
        if isinstance(scheduler.get(key), int | float):
            return float(scheduler[key])
    return 1.0


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(bytes.fromhex(file_sha256(path)))
    return digest.hexdigest()
