"""One model's folder, checked cheaply: every part there, every config readable, no file cut short.

It is a diffusers folder, or an original checkpoint, which is read in the words of the diffusers form.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from hibari.catalog import card as cards
from hibari.catalog import world as worlds
from hibari.catalog.digests import Digests
from hibari.catalog.form import NATIVE, Form, check_fit, expert_folders, form_of, learned_verbs
from hibari.catalog.licence import NOT_STATED, stated_licence
from hibari.catalog.published import Published, recognise
from hibari.catalog.pulled import Pulled
from hibari.errors import BadWeights
from hibari.shapes import Strides
from hibari.wan_layout import IMAGE_ENCODER, TEXT_ENCODER, is_original
from hibari.wan_layout import configs as original_configs
from hibari.wan_layout import index as original_index
from hibari.wan_layout import places as original_places

Configs = Mapping[str, Mapping[str, Any]]

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
TELLING = ("text_encoder", "image_encoder", TEXT_ENCODER, IMAGE_ENCODER)  # parts that tell a transformer what to draw
WHOLE = ("diffusion_pytorch_model.safetensors", "model.safetensors")  # a part in one file, under either name
METADATA = "__metadata__"  # in a safetensors header, beside its tensors
MAX_HEADER = 100_000_000  # the bound of the safetensors format
SHIFTS = ("flow_shift", "shift")  # what schedulers call their timestep shift
MAX_NUMBER = 1e6  # that any config has; also keeps out infinity, and what is no number


@dataclass(frozen=True)
class Model:
    """A model that is here and whole: its card, its folder, and what the folder's configs say.

    `places` are where its parts lie (folders, or files of an original checkpoint) and `configs` what they are in
    published words; of a model that diffusers runs, both are empty. `published` is the known model that it is, or is a
    variant of; `pulled` the record of its pull. `state` tells its weights from others that came into their place.
    """

    card: cards.Card
    folder: Path
    form: Form
    strides: Strides
    flow_shift: float
    world: worlds.World | None
    files: tuple[Path, ...]
    places: Mapping[str, Path] = field(default_factory=dict)
    configs: Configs = field(default_factory=dict)
    published: Published | None = None
    pulled: Pulled | None = None
    state: tuple[tuple[int, int, int], ...] = ()
    digests: Digests = field(default=Digests(None), compare=False)

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def bytes(self) -> int:
        """Bytes of all weights."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def stated_revision(self) -> str:
        """The revision that the card states, or the pull; "unknown" where neither does."""
        if self.card.revision == "unknown" and self.pulled is not None:
            return self.pulled.revision[:12]
        return self.card.revision

    @cached_property
    def revision(self) -> str:
        """The stated revision; for a folder without one, the sha256 of its transformer and VAE."""
        if self.stated_revision != "unknown":
            return self.stated_revision
        drawing = [path for path in self.files if path.parent.name not in TELLING and path.name not in TELLING]
        return f"sha256:{self._digest(drawing)[:16]}"

    @cached_property
    def weights_sha256(self) -> str:
        """The sha256 of the sha256 of every weights file, in order: these very weights, whatever the card says."""
        return self._digest(self.files)

    def _digest(self, files: Iterable[Path]) -> str:
        """A digest of digests; raises BadWeights where the files are not those any more that were opened."""
        if state_of(self.files) != self.state:
            raise BadWeights(f"{self.folder}: it changed while it was in use.", option="model")
        digest = hashlib.sha256()
        for path in files:
            digest.update(bytes.fromhex(self.digests.sha256(path)))
        return digest.hexdigest()


def open_folder(folder: Path, name: str = "", digests: Digests | None = None) -> Model:
    """A model's folder, read and checked without its tensors; raises BadWeights. `digests` remembers its files'."""
    if not folder.is_dir():
        raise BadWeights(f"{folder}: no such folder.", option="model")
    try:
        model = _open(folder, name or folder.name, digests or Digests(None))
    except OSError as error:  # nobody may read it, or it goes while it is read
        raise BadWeights(f"{error.filename or folder}: cannot be read ({error.strerror}).", option="model") from error
    # Who finds it by a name meets it under that name, in lists and in records, whatever its card says.
    return replace(model, card=replace(model.card, name=name)) if name else model


def _open(folder: Path, name: str, digests: Digests) -> Model:
    if is_original(folder):
        index, places = original_index(folder, name), original_places(folder)
        configs: Configs = original_configs(places)
    elif (folder / "model_index.json").is_file():
        index = read_json(folder / "model_index.json")
        if (pipeline := str(index.get("_class_name"))) not in NATIVE:
            from hibari.catalog.foreign import open_foreign  # it builds on this room

            return open_foreign(folder, pipeline, index, name, digests)
        places, configs = _parts(folder, index)
    else:
        raise BadWeights(
            f"{folder}: neither a diffusers folder (model_index.json) nor a Wan checkpoint.", option="model"
        )
    weights = {part: place for part, place in places.items() if part in PARTS}
    files = tuple(path for place in weights.values() for path in weight_files(place))
    for path in files:
        check_whole(path)
    strides, form = _strides(folder, index, configs)
    known, pulled = recognise(name, index, configs["transformer"]), Pulled.load(folder)
    world_file = folder / worlds.FILE
    card = _card(folder, name, strides, form, known, pulled, learned_verbs(index, form))
    if card.fast is not None:
        check_whole(folder / card.fast.lora)
    return Model(
        card=card,
        folder=folder,
        form=form,
        strides=strides,
        flow_shift=_flow_shift(configs["scheduler"], known, original=is_original(folder)),
        world=worlds.World.load(world_file) if world_file.is_file() else None,
        files=files,
        places=places,
        configs=configs,
        published=known,
        pulled=pulled,
        state=state_of(files),
        digests=digests,
    )


def _card(
    folder: Path,
    name: str,
    strides: Strides,
    form: Form,
    known: Published | None,
    pulled: Pulled | None,
    verbs: tuple[str, ...],
) -> cards.Card:
    """The card in the folder; or of the published model that it is; or of the family."""
    if (folder / cards.FILE).is_file():
        return cards.Card.load(folder / cards.FILE, verbs)
    licence = pulled.licence if pulled else stated_licence(folder)
    if known is None:
        return cards.published(name, licence, strides.space, verbs, cards.Rolling() if form.rolling else None)
    if licence == NOT_STATED and known.is_called(name):
        licence = known.licence
    return known.card_of(name, licence, verbs)


def check_whole(path: Path) -> None:
    """Raise BadWeights for a weights file that is cut short or damaged, as far as its ends tell."""
    if path.suffix == ".safetensors":
        read_header(path)
        return
    try:
        whole = zipfile.is_zipfile(path)  # the list of what is in it comes last
    except zipfile.BadZipFile:
        whole = False
    if not whole:
        raise BadWeights(f"{path}: cut short, or not a file of tensors.", **_AGAIN)


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
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            raise BadWeights(f"{path}: its header is damaged.", **_AGAIN) from error
    whole = 8 + length + max(ends, default=0)
    if size != whole:
        what = "cut short" if size < whole else "too long"
        raise BadWeights(f"{path}: {what}, {size} of {whole} bytes.", **_AGAIN)
    return header


_AGAIN = {"option": "model", "hint": "Install or copy the weights again."}


def state_of(files: Iterable[Path]) -> tuple[tuple[int, int, int], ...]:
    """The size, number and time of change of each file; raises OSError."""
    return tuple((stat.st_size, stat.st_ino, stat.st_mtime_ns) for stat in (path.stat() for path in files))


def weight_files(part: Path) -> Iterator[Path]:
    """The files of one part: itself, those that its index names beside a whole one, or all safetensors there.

    Raises BadWeights.
    """
    if part.is_file():
        yield part
        return
    indexes = sorted(part.glob("*.safetensors.index.json"))
    if indexes:
        # All of them, whichever is read when it is loaded: the digest of a part is that of whatever it may draw with.
        named = set().union(*map(_shards, indexes)) | {name for name in WHOLE if (part / name).is_file()}
        paths = [part / name for name in sorted(named)]
    else:
        paths = sorted(part.glob("*.safetensors"))
    if not paths:
        raise BadWeights(f"{part}: no safetensors file.", **_AGAIN)
    for path in paths:
        if not path.is_file():
            raise BadWeights(f"{path}: not there, though its index names it.", **_AGAIN)
        yield path


def _shards(index: Path) -> set[str]:
    """The files that an index names, all of its own folder; raises BadWeights."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise BadWeights(f"{index}: no weight_map.", **_AGAIN)
    for key, name in weight_map.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors") or "\0" in name:
            raise BadWeights(
                f"{index}: {key} is in {name!r}, which is not a safetensors file of this folder.", **_AGAIN
            )
    return set(weight_map.values())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises BadWeights."""
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise BadWeights(f"{path}: not a file.", **_AGAIN)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadWeights(f"{path}: cannot be read ({error.strerror}).", **_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise BadWeights(f"{path}: not JSON ({error}).", **_AGAIN) from error
    if not isinstance(found, dict):
        raise BadWeights(f"{path}: not a JSON object.", **_AGAIN)
    return found


def _parts(folder: Path, index: dict[str, Any]) -> tuple[dict[str, Path], Configs]:
    """Where the parts of a diffusers folder lie that this model needs, and their configs; raises BadWeights."""
    parts = [*expert_folders(index), "vae", "text_encoder"]
    transformers = {part: read_json(folder / part / "config.json") for part in expert_folders(index)}
    sees_pictures = transformers["transformer"].get("image_dim") is not None
    parts += ["image_encoder"] if sees_pictures else []
    for part in parts:
        named = index.get(part)
        found = named[1] if isinstance(named, list) and len(named) == 2 else None
        if found not in PARTS[part]:
            wanted = " or ".join(PARTS[part])
            raise BadWeights(f"{folder}: its {part} is {found}, and Hibari runs {wanted}.", option="model")
    configs = transformers | {
        part: read_json(folder / part / "config.json") for part in parts if part not in transformers
    }
    others = {part: file for part, file in CONFIGS.items() if part != "image_processor" or sees_pictures}
    configs |= {part: read_json(folder / part / file) for part, file in others.items()}
    return {part: folder / part for part in configs}, configs


def _strides(folder: Path, index: dict[str, Any], configs: Configs) -> tuple[Strides, Form]:
    vae, transformer = configs["vae"], configs["transformer"]
    try:
        # The first published folders do not say their factors; their VAE is the 4x8x8 one.
        time, space = vae.get("scale_factor_temporal", 4), vae.get("scale_factor_spatial", 8)
        patch = tuple(int(side) for side in transformer["patch_size"])
        strides = Strides(
            time=int(time), space=int(space), channels=int(vae["z_dim"]), patch=(patch[0], patch[1], patch[2])
        )
        form = form_of(index, dict(transformer), strides.channels, strides.time)
        check_fit(configs)
        for key in ("in_channels", "out_channels", "patch_size", "text_dim", "image_dim"):
            if configs[form.experts[-1]].get(key) != transformer.get(key):
                raise ValueError(f"the two transformers differ in {key}")
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
        raise BadWeights(f"{folder}: its parts do not fit each other ({error}).", **_AGAIN) from error
    return strides, form


def _flow_shift(scheduler: Mapping[str, Any], known: Published | None, *, original: bool) -> float:
    """The timestep shift: the one frozen into the scheduler's config; of a published model whose scheduler states
    none, its authors' default.
    """
    shift = stated_shift(scheduler)
    return known.flow_shift if known is not None and (original or shift == 1.0) else shift


def stated_shift(scheduler: Mapping[str, Any]) -> float:
    """The shift that a scheduler's config states; 1, which shifts nothing, where it states none."""
    return next((float(scheduler[key]) for key in SHIFTS if is_number(scheduler.get(key))), 1.0)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a config is a number that can be worked with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
