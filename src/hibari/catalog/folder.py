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
from hibari.catalog.digests import Digests
from hibari.catalog.form import Form, form_of
from hibari.errors import BadWeights
from hibari.shapes import Strides

PARTS = {  # what must be there, and the classes of it that Hibari runs
    "transformer": ("WanTransformer3DModel",),
    "vae": ("AutoencoderKLWan",),
    "text_encoder": ("BertModel",),
}
CONFIGS = {
    "transformer": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
}
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
    digests: Digests = Digests(None)

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
        return f"sha256:{self._digest(path for path in self.files if path.parent.name != 'text_encoder')[:16]}"

    @cached_property
    def weights_sha256(self) -> str:
        """The sha256 of the sha256 of every weights file, in order: these very weights, whatever the card says."""
        return self._digest(self.files)

    def _digest(self, files: Iterable[Path]) -> str:
        digest = hashlib.sha256()
        for path in files:
            digest.update(bytes.fromhex(self.digests.sha256(path)))
        return digest.hexdigest()


def open_folder(folder: Path, name: str = "", digests: Digests | None = None) -> Model:
    """A model's folder, read and checked without its tensors; raises BadWeights. `digests` remembers its files'."""
    if not folder.is_dir():
        raise BadWeights(f"{folder}: no such folder.", option="model")
    if not (folder / "model_index.json").is_file():
        raise BadWeights(f"{folder}: no model_index.json, so not a diffusers folder.", option="model")
    index = _json(folder / "model_index.json")
    for part, classes in PARTS.items():
        found = index[part][1] if isinstance(index.get(part), list) else None
        if found not in classes:
            wanted = " or ".join(classes)
            raise BadWeights(f"{folder}: its {part} is {found}, and Hibari runs {wanted}.", option="model")
    configs = {part: _json(folder / part / file) for part, file in CONFIGS.items()}
    files = tuple(path for part in PARTS for path in _weight_files(folder / part))
    for path in files:
        check_safetensors(path)
    strides = _strides(folder, configs)
    name = name or folder.name
    card_file, world_file = folder / cards.FILE, folder / worlds.FILE
    return Model(
        card=cards.Card.load(card_file) if card_file.is_file() else cards.published(name, strides.space),
        folder=folder,
        form=form_of(index),
        strides=strides,
        flow_shift=_flow_shift(configs["scheduler"]),
        world=worlds.World.load(world_file) if world_file.is_file() else None,
        files=files,
        digests=digests or Digests(None),
    )


def check_safetensors(path: Path) -> None:
    """Raise BadWeights where a safetensors file's size is not what its header promises, or it has no header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            raise BadWeights(f"{path}: cut short or not safetensors ({size} bytes).", **_AGAIN)
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadWeights(f"{path}: its header is damaged.", **_AGAIN) from error
    whole = 8 + length + max(ends, default=0)
    if size != whole:
        what = "cut short" if size < whole else "too long"
        raise BadWeights(f"{path}: {what}, {size} of {whole} bytes.", **_AGAIN)


_AGAIN = {"option": "model", "hint": "Install or copy the weights again."}


def _weight_files(part: Path) -> Iterator[Path]:
    """The safetensors files of one part: those that its index names, or all that are there."""
    indexes = sorted(part.glob("*.safetensors.index.json"))
    if indexes:
        shards = _json(indexes[0]).get("weight_map", {})
        paths = [part / shard for shard in sorted(set(shards.values()))]
    else:
        paths = sorted(part.glob("*.safetensors"))
    if not paths:
        raise BadWeights(f"{part}: no safetensors file.", **_AGAIN)
    for path in paths:
        if not path.is_file():
            raise BadWeights(f"{path}: not there, though its index names it.", **_AGAIN)
        yield path


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadWeights(f"{path}: cannot be read ({error.strerror}).", **_AGAIN) from error
    except ValueError as error:
        raise BadWeights(f"{path}: not JSON ({error}).", **_AGAIN) from error
    if not isinstance(found, dict):
        raise BadWeights(f"{path}: not a JSON object.", **_AGAIN)
    return found


def _strides(folder: Path, configs: dict[str, dict[str, Any]]) -> Strides:
    vae, transformer = configs["vae"], configs["transformer"]
    try:
        # The first published folders do not say their factors; their VAE is the 4x8x8 one.
        time, space = vae.get("scale_factor_temporal", 4), vae.get("scale_factor_spatial", 8)
        patch = tuple(int(side) for side in transformer["patch_size"])
        strides = Strides(
            time=int(time), space=int(space), channels=int(vae["z_dim"]), patch=(patch[0], patch[1], patch[2])
        )
        if strides.channels != transformer["in_channels"]:
            raise ValueError(
                f"{strides.channels} latent channels, and the transformer takes {transformer['in_channels']}"
            )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadWeights(f"{folder}: VAE and transformer do not fit ({error}).", **_AGAIN) from error
    return strides


def _flow_shift(scheduler: dict[str, Any]) -> float:
    """The timestep shift frozen into a scheduler's config: UniPC calls it `flow_shift`, FlowMatchEuler `shift`."""
    for key in ("flow_shift", "shift"):
        if isinstance(scheduler.get(key), int | float):
            return float(scheduler[key])
    return 1.0
