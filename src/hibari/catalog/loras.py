"""LoRA files: which are here, and whether each tensor of one has its place in a model. No torch here.

Only headers are read, so that a file that does not fit is refused before the model is loaded. Three kinds of names are
known: those of diffusers and PEFT, those of the original checkpoints, and kohya's, which have underscores for dots.
Laying them on is `generate/loras.py`'s matter.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hibari.catalog.folder import METADATA, Model, read_header, weight_files
from hibari.config import Settings
from hibari.errors import BadWeights, InvalidRequest
from hibari.media.files import file_sha256
from hibari.request import LoraUse
from hibari.wan_keys import original_name, published_name

Shape = tuple[int, ...]
SUFFIX = ".safetensors"
PREFIXES = re.compile(
    r"(?:base_model\.model\.)?(?:transformer(?:_2)?\.|model\.diffusion_model\.|diffusion_model\.|lora_unet_{1,2})?"
)
KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("down", re.compile(r"\.(?:lora_A|lora_down|lora\.down)(?:\.[^.]+)?\.weight$")),
    ("up", re.compile(r"\.(?:lora_B|lora_up|lora\.up)(?:\.[^.]+)?\.weight$")),
    ("up_bias", re.compile(r"\.lora_B(?:\.[^.]+)?\.bias$")),
    ("alpha", re.compile(r"\.alpha$")),
    ("weight", re.compile(r"\.diff$")),
    ("bias", re.compile(r"\.diff_b$")),
    ("parameter", re.compile(r"\.diff_m$")),
)
OTHERS = re.compile(r"dora_scale|lora_magnitude|hada_|lokr_|oft_|lora_mid|set_weight")
TEXT_ENCODERS = re.compile(r"(?:text_encoder\w*\.|lora_te)")
SECOND = re.compile(r"(?:base_model\.model\.)?transformer_2\.")
ADAPTER = "lora_adapter_metadata"  # where diffusers keeps what PEFT's configuration said, under "transformer." each


@dataclass(frozen=True, kw_only=True)
class LoraLayer:
    """What a file has for one layer: the keys of its tensors; "" where there is none.

    With W and b the layer's: W += s (up @ down) + weight, b += s up_bias + bias, where s is `alpha` / rank, or `scale`
    where the file has no alpha for the layer. `parameter` is added to the layer's modulation.
    """

    down: str = ""
    up: str = ""
    up_bias: str = ""
    alpha: str = ""
    weight: str = ""
    bias: str = ""
    parameter: str = ""
    scale: float = 1.0

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that there are."""
        found = (self.down, self.up, self.up_bias, self.alpha, self.weight, self.bias, self.parameter)
        return tuple(key for key in found if key)


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A LoRA file that fits a model, as a request uses it. `layers` are by the published name of the layer."""

    name: str
    path: Path
    sha256: str
    weight: float
    expert: str
    layers: Mapping[str, LoraLayer]

    @property
    def mark(self) -> str:
        """What a revision says of it: these very weights, how strongly, and where."""
        where = f"@{self.expert}" if self.expert else ""
        return f"{self.name}{where}:{self.weight:g}#{self.sha256[:12]}"


def lora_names(settings: Settings) -> list[str]:
    """The names of the LoRA files in the data folder."""
    return sorted(path.stem for path in settings.loras_folder.glob(f"*{SUFFIX}"))


def check_lora_names(uses: Iterable[LoraUse]) -> None:
    """Raise InvalidRequest for a file's path where a name has to be, as jobs have it."""
    for use in uses:
        if _is_path(use.lora):
            raise InvalidRequest(
                f"{use.lora!r} is no name of a LoRA.",
                option="loras",
                hint="Name one that lies in the data folder's loras, without a path.",
            )


def find_loras(uses: Iterable[LoraUse], model: Model, settings: Settings) -> tuple[Lora, ...]:
    """The files of a request, each held against the model; raises InvalidRequest for one that is not here or unfit."""
    uses = tuple(uses)
    if not uses:
        return ()
    shapes = _shapes_of(model)
    return tuple(_found(use, model, shapes, settings) for use in uses)


def fast_lora(model: Model) -> Lora:
    """The file of a model's fast version, held against the model; raises BadWeights for one that does not fit."""
    fast = model.card.fast
    assert fast is not None, "its card has one"
    path = model.folder / fast.lora
    try:
        layers = read_layers(path, _shapes_of(model), model.name)
    except InvalidRequest as error:
        raise BadWeights(error.message, option="model", hint=error.hint) from error
    digest = model.digests.sha256(path)
    return Lora(name=fast.name, path=path, sha256=digest, weight=1.0, expert="", layers=layers)


def _found(use: LoraUse, model: Model, shapes: Mapping[str, Shape], settings: Settings) -> Lora:
    if use.expert and len(model.form.experts) == 1:
        raise InvalidRequest(
            f"{model.name} has one transformer for all noise levels.", option="loras", hint=f"Leave out @{use.expert}."
        )
    path = _path_of(use, model, settings)
    if not _is_there(path):
        here = ", ".join(lora_names(settings)) or "none; they go into the data folder's loras"
        raise InvalidRequest(f"{use.lora!r} is not here.", option="loras", hint=f"Here: {here}.")
    try:
        layers = read_layers(path, shapes, model.name)
    except BadWeights as error:
        message = error.message.replace(str(path), path.name)  # where files lie is not for every requester
        raise InvalidRequest(message, option="loras", hint=f"Give a whole {SUFFIX} file.") from error
    if use.expert != "low" and any(SECOND.match(key) for keys in layers.values() for key in keys.keys):
        hint = f"Name it as {use.lora}@low." if len(model.form.experts) > 1 else "It was made for another model."
        raise InvalidRequest(f"{path.name} is for the second of two transformers.", option="loras", hint=hint)
    digest = file_sha256(path)
    if use.sha256 not in ("", digest):
        raise InvalidRequest(f"{path.name} is another file by now.", option="loras", hint="Put back the one it was.")
    return Lora(
        name=path.stem, path=path.absolute(), sha256=digest, weight=use.weight, expert=use.expert, layers=layers
    )


def read_layers(path: Path, shapes: Mapping[str, Shape], name: str) -> dict[str, LoraLayer]:
    """What a file has for each layer of a transformer, whose parameters have these shapes by their published keys.

    `name` is the model's, for what an error says. Raises InvalidRequest where a tensor has no place or does not fit,
    and BadWeights for a file that is damaged.
    """
    header = read_header(path)
    facts = header.pop(METADATA, {})
    found: dict[str, LoraLayer] = {}
    aliases = _aliases(shapes)
    for key in header:
        kind, layer = _place(path, key, aliases, name)
        known = found.setdefault(layer, LoraLayer())
        if getattr(known, kind):
            raise InvalidRequest(f"{path.name}: {key} and {getattr(known, kind)} are for one layer.", option="loras")
        found[layer] = replace(known, **{kind: key})  # type: ignore[arg-type]  # all kinds are text
    if not found:
        raise InvalidRequest(f"{path.name} holds no tensors.", option="loras")
    sizes = {key: tuple(entry["shape"]) for key, entry in header.items()}
    found = {layer: _scaled(path, keys, layer, sizes, facts) for layer, keys in found.items()}
    for layer, keys in found.items():
        _check_fit(path, keys, layer, sizes, shapes)
    return found


def _is_there(path: Path) -> bool:
    """Whether a file is there; raises InvalidRequest where the system does not say."""
    try:
        return path.is_file()
    except OSError as error:  # a name that no system takes, or a folder that nobody may look into
        raise InvalidRequest(f"{path.name[:40]!r} cannot be looked for ({error.strerror}).", option="loras") from error


def is_fast(use: LoraUse, model: Model) -> bool:
    """Whether it is the file of the model's own fast version: by its path, or its name, which nobody else can have."""
    fast = model.card.fast
    if fast is None:
        return False
    return use.lora == fast.name or Path(use.lora).expanduser().absolute() == (model.folder / fast.lora).absolute()


def _path_of(use: LoraUse, model: Model, settings: Settings) -> Path:
    """Where a request's LoRA lies: by its path, with the model whose fast version it is, or in the data folder."""
    if model.card.fast is not None and is_fast(use, model):
        return model.folder / model.card.fast.lora
    if _is_path(use.lora):
        return Path(use.lora).expanduser()
    return settings.loras_folder / f"{use.lora}{SUFFIX}"


def _is_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith(SUFFIX) or name.startswith(".")


def _shapes_of(model: Model) -> dict[str, Shape]:
    """The shapes of a transformer's parameters by their published keys; two experts have the same."""
    headers = [read_header(path) for path in weight_files(model.places[model.form.experts[0]])]
    shapes = {key: tuple(entry["shape"]) for header in headers for key, entry in header.items() if key != METADATA}
    return {_published_key(key): shape for key, shape in shapes.items()}


def _published_key(key: str) -> str:
    """A parameter's key by the published name of its layer, whether it comes by that or by the original one."""
    layer, dot, leaf = key.rpartition(".")
    if leaf not in ("weight", "bias"):
        return published_name(key) or key
    return f"{published_name(layer) or layer}{dot}{leaf}"


def _aliases(shapes: Mapping[str, Shape]) -> dict[str, str]:
    """Every name that a file may have for a layer, or for a parameter that is no layer's, and its published one."""
    names = dict.fromkeys(re.sub(r"\.(weight|bias)$", "", key) for key in shapes)
    aliases = {}
    for name in names:
        for other in filter(None, (name, original_name(name))):
            aliases[other] = aliases[other.replace(".", "_")] = name
    return aliases


def _place(path: Path, key: str, aliases: Mapping[str, str], name: str) -> tuple[str, str]:
    """What a tensor is, and the layer that it is for."""
    if TEXT_ENCODERS.match(key):
        raise InvalidRequest(f"{path.name}: {key} is for a text encoder, which stays as it is.", option="loras")
    if OTHERS.search(key):
        raise InvalidRequest(f"{path.name}: {key} is no LoRA's: it is another kind of adapter.", option="loras")
    for kind, suffix in KINDS:
        end = suffix.search(key)
        if end is None:
            continue
        prefix = PREFIXES.match(key)
        assert prefix is not None, "it matches nothing too"
        middle = key[prefix.end() : end.start()]
        if kind == "parameter":
            middle = f"{middle}.modulation"
        if middle in aliases:
            return kind, aliases[middle]
        break
    raise InvalidRequest(
        f"{path.name}: {key} has no place in {name}.", option="loras", hint="It was made for another model."
    )


def _scaled(path: Path, keys: LoraLayer, layer: str, sizes: Mapping[str, Shape], facts: Mapping[str, str]) -> LoraLayer:
    """The same with the scale that the file's metadata states, as diffusers writes them."""
    if not keys.down or keys.alpha or ADAPTER not in facts:
        return keys
    try:
        stated: dict[str, Any] = json.loads(facts[ADAPTER])
        values = {name.split(".", 1)[1]: value for name, value in stated.items() if "." in name}
        alpha = float(_of_layer(values.get("alpha_pattern") or {}, layer, values.get("lora_alpha", 0)))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"{path.name}: its metadata is damaged ({error}).", option="loras") from error
    if values.get("use_dora"):
        raise InvalidRequest(f"{path.name}: it is a DoRA, another kind of adapter.", option="loras")
    rank = sizes[keys.down][0]
    if not alpha:
        return keys
    return replace(keys, scale=alpha / (rank**0.5 if values.get("use_rslora") else rank))


def _of_layer(pattern: Mapping[str, Any], layer: str, otherwise: Any) -> Any:
    """What a pattern of PEFT says of a layer: its keys are ends of layers' names, as regular expressions."""
    return next((value for key, value in pattern.items() if re.search(rf"(?:^|\.)(?:{key})$", layer)), otherwise)


def _check_fit(
    path: Path, keys: LoraLayer, layer: str, sizes: Mapping[str, Shape], shapes: Mapping[str, Shape]
) -> None:
    """Raise InvalidRequest where one of a layer's tensors is missing or has another shape than the layer needs."""
    whole = shapes.get(f"{layer}.weight", ())
    if bool(keys.down) != bool(keys.up):
        raise InvalidRequest(f"{path.name}: {keys.down or keys.up} lacks its other half.", option="loras")
    if (keys.alpha or keys.up_bias) and not keys.down:
        raise InvalidRequest(f"{path.name}: {keys.alpha or keys.up_bias} belongs to nothing.", option="loras")
    rank = sizes[keys.down][:1] if keys.down else ()
    wanted = {
        keys.down: (*rank, *whole[1:]),
        keys.up: (*whole[:1], *rank, *(1 for _ in whole[2:])),
        keys.up_bias: whole[:1],
        keys.alpha: sizes[keys.alpha] if keys.alpha and sizes[keys.alpha] in ((), (1,)) else (),
        keys.weight: whole or shapes.get(layer, ()),
        keys.bias: shapes.get(f"{layer}.bias", ()),
        keys.parameter: shapes.get(layer, ()),
    }
    wanted.pop("", None)
    for key, shape in wanted.items():
        paired = key in (keys.down, keys.up)
        if sizes[key] != shape or (paired and (len(whole) < 2 or not all(sizes[key]))):
            took = "x".join(map(str, sizes[key])) or "one number"
            fits = "x".join(map(str, shape)) or "nothing"
            raise InvalidRequest(
                f"{path.name}: {key} is {took}, and {layer} takes {fits}.",
                option="loras",
                hint="It was made for a model of another size.",
            )
