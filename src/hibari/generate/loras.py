"""LoRA files laid on a loaded transformer for one walk, and taken off again; its own weights are never written.

A low-rank pair is added to its layer's output, as x -> (x A) B, by a hook on the layer: whatever stores the layer's
weights, it needs no copy of them. Several files' pairs stand side by side in one A and one B. Plain differences of
biases, norms, modulations and embeddings stand in for the parameter while the block runs.

Legend: I numbers into a layer, O out of it, Q ranks of all pairs together.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import reduce

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hibari.catalog import Lora, LoraLayer
from hibari.errors import InvalidRequest
from hibari.model.dit import WanDiT
from hibari.model.weights.dit import KERNEL, kernel_to_linear
from hibari.model.weights.keys import published_key

MULTIPLIES = "weight"  # what our linear layers call it; a table of embeddings is a parameter by another name


@dataclass
class _Change:
    """What all files together add to one layer: pairs of (Q,I) and (O,Q), and differences of its parameters by name."""

    downs: list[Tensor] = field(default_factory=list)
    ups: list[Tensor] = field(default_factory=list)
    weight: Tensor | None = None
    parameters: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def laid_on(model: WanDiT, loras: Sequence[Lora]) -> Iterator[None]:
    """The transformer with LoRAs on it while the block runs; raises InvalidRequest for a file that cannot be read."""
    changes: dict[str, _Change] = {}
    places = _places(model)
    for lora in loras:
        _gather(lora, places, changes)
    with ExitStack() as stack:
        for name, change in changes.items():
            _lay(model.get_submodule(name), change, stack)
        yield


def _places(model: WanDiT) -> dict[str, tuple[str, str]]:
    """Our module, and the parameter in it, of each published key; however its layers are stored."""
    with torch.device("meta"):
        names = WanDiT(model.config).state_dict()
    return {published_key(name): _split(name) for name in names}


def _split(name: str) -> tuple[str, str]:
    module, _, parameter = name.rpartition(".")
    return module, parameter


def _gather(lora: Lora, places: dict[str, tuple[str, str]], changes: dict[str, _Change]) -> None:
    """Read a file's tensors into the changes of our modules."""
    try:
        with safe_open(lora.path, "pt") as file:
            for layer, keys in lora.layers.items():
                _gather_layer(layer, keys, file.get_tensor, lora.weight, places, changes)
    except (OSError, SafetensorError) as error:
        raise InvalidRequest(f"{lora.name} cannot be read ({error}).", option="loras") from error


def _gather_layer(
    layer: str,
    keys: LoraLayer,
    read: Callable[[str], Tensor],
    weight: float,
    places: dict[str, tuple[str, str]],
    changes: dict[str, _Change],
) -> None:
    def change_of(published: str) -> tuple[_Change, str]:
        module, parameter = places[published]
        return changes.setdefault(module, _Change()), parameter

    def add(published: str, difference: Tensor) -> None:
        change, parameter = change_of(published)
        earlier = change.parameters.get(parameter)
        change.parameters[parameter] = difference if earlier is None else earlier + difference

    scale = weight
    if keys.down:
        down = read(keys.down).float()
        scale *= float(read(keys.alpha)) / len(down) if keys.alpha else keys.scale
        up = read(keys.up).float().flatten(1) * scale
        change, parameter = change_of(f"{layer}.weight")
        if parameter == MULTIPLIES:
            change.downs.append(_as_linear(layer, down))
            change.ups.append(up)
        else:
            add(f"{layer}.weight", up @ down)
    if keys.up_bias:
        add(f"{layer}.bias", read(keys.up_bias).float() * scale)
    if keys.bias:
        add(f"{layer}.bias", read(keys.bias).float() * weight)
    if keys.parameter:
        add(layer, read(keys.parameter).float() * weight)
    if keys.weight and layer in places:
        add(layer, read(keys.weight).float() * weight)
    elif keys.weight:
        difference = _as_linear(layer, read(keys.weight).float() * weight)
        change, parameter = change_of(f"{layer}.weight")
        if difference.ndim == 1 or parameter != MULTIPLIES:
            add(f"{layer}.weight", difference)
        else:
            change.weight = difference if change.weight is None else change.weight + difference


def _as_linear(layer: str, tensor: Tensor) -> Tensor:
    """A published kernel as our linear layer on patches has it."""
    return kernel_to_linear(tensor) if f"{layer}.weight" == KERNEL else tensor


def _lay(module: nn.Module, change: _Change, stack: ExitStack) -> None:
    for name, difference in change.parameters.items():
        stack.enter_context(_in_place_of(module, name, difference))
    if change.ups or change.weight is not None:
        stack.enter_context(_hooked(module, change))


@contextmanager
def _in_place_of(module: nn.Module, name: str, difference: Tensor) -> Iterator[None]:
    """A parameter replaced by its sum with a difference; the parameter itself comes back as it was."""
    own = getattr(module, name)
    total = own.detach().float() + difference.to(own.device).view(own.shape)
    setattr(module, name, nn.Parameter(total.to(own.dtype), requires_grad=False))
    try:
        yield
    finally:
        setattr(module, name, own)


@contextmanager
def _hooked(module: nn.Module, change: _Change) -> Iterator[None]:
    """A linear layer whose output has the change added to it."""
    pair = [torch.cat(change.downs), torch.cat(change.ups, dim=1)] if change.downs else []
    chains = [chain for chain in (pair, [change.weight] if change.weight is not None else []) if chain]

    def add(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        for chain in chains:
            chain[:] = [each.to(output) for each in chain]  # once: to where the layer computes, and as it does
            output = output + reduce(nn.functional.linear, chain, inputs[0].to(output.dtype))
        return output

    handle = module.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
