"""Linear layers whose weights lie elsewhere or in fewer bytes than they compute in, laid onto a model from outside.

The layers of a list of blocks are replaced one by one, while the model is loaded, so that it is never held twice. Where
weights lie away from the device, a layer's come while the layer before it computes, and go when it is done. The file
of a model that is streamed from disk is mapped: what the operating system keeps of it, it can take back at any time.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hibari.model.quantised import NO_SCALE, Kind, Packed, pack

Place = Literal["device", "cpu", "disk"]
RUN_AHEAD = 2  # layers that an accelerator may be asked for before it is done with the first


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How the weights of a model's blocks are kept: in what form, and where until they are used."""

    kind: Kind = "exact"
    place: Place = "device"

    def __post_init__(self) -> None:
        assert self.place != "disk" or self.kind == "exact", "a file is streamed as it is"

    @property
    def plain(self) -> bool:
        """Whether nothing is to be replaced."""
        return self.kind == "exact" and self.place == "device"


class StoredLinear(nn.Module):
    """A linear layer with its weights stored. Nothing computes with `weight`: it is what is stored of them."""

    def __init__(self, fetch: Callable[[], Packed], source: Packed, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = source.weight_OI.shape
        self.weight = nn.Parameter(source.weight_OI, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self._fetch = fetch

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self._fetch().widened(x.dtype), self.bias)


class Stream:
    """The weights of layers that are used in an order that repeats: each is fetched while the one before computes."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._sources: list[Packed] = []
        self._after: dict[int, int] = {}  # which layer was used after which
        self._last: int | None = None
        self._coming: tuple[int, Future[Packed]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weights")
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._used: deque[torch.cuda.Event] = deque()

    def add(self, source: Packed) -> Callable[[], Packed]:
        """The call that hands over the weights of one layer, on the device."""
        index = len(self._sources)
        self._sources.append(source)
        return lambda: self._take(index)

    def _take(self, index: int) -> Packed:
        if self._last is not None:
            self._after[self._last] = index
        self._last = index
        coming, self._coming = self._coming, None
        ready = coming[1] if coming is not None and coming[0] == index else self._thread.submit(self._bring, index)
        packed = ready.result()
        self._wait_for_device(packed)
        following = self._after.get(index, index + 1)
        if following < len(self._sources):
            self._coming = (following, self._thread.submit(self._bring, following))
        return packed

    def _bring(self, index: int) -> Packed:
        """Copy one layer's weights to the device; in a thread of its own."""
        source = self._sources[index]
        dtype = self.dtype if source.kind == "exact" else torch.int8
        if self._side is None:
            return Packed(source.kind, source.weight_OI.to(self.device, dtype, copy=True), source.scale_O1)
        with torch.cuda.stream(self._side):
            weight_OI = source.weight_OI.to(dtype).to(self.device, non_blocking=True)
            scale_O1 = source.scale_O1.to(self.device, non_blocking=True)
        self._side.synchronize()
        return Packed(source.kind, weight_OI, scale_O1)

    def _wait_for_device(self, packed: Packed) -> None:
        """Hand memory from the copying stream to the computing one, and do not run far ahead of it."""
        if self._side is None:
            return
        now = torch.cuda.current_stream(self.device)
        for tensor in (packed.weight_OI, packed.scale_O1):
            tensor.record_stream(now)
        self._used.append(now.record_event())
        if len(self._used) > RUN_AHEAD:
            self._used.popleft().synchronize()


def store(
    blocks: nn.Module,
    storage: Storage,
    device: torch.device,
    dtype: torch.dtype,
    read: Callable[[str], Tensor],
) -> None:
    """Replace every linear layer in `blocks`, in place, by one whose weights are stored.

    `read` gives the tensor of a key such as "0.ffn_in.weight", which may lie in a mapped file.
    """
    stream = Stream(device, dtype) if storage.place != "device" else None
    layers = [(name, module) for name, module in blocks.named_modules() if isinstance(module, nn.Linear)]
    for name, layer in layers:
        weight = read(f"{name}.weight")
        bias = read(f"{name}.bias").to(device, dtype, copy=True) if layer.bias is not None else None
        source = Packed("exact", weight) if storage.place == "disk" else pack(weight, storage.kind, dtype)
        source = _placed(source, storage, device)
        fetch = stream.add(source) if stream is not None else lambda source=source: source
        parent, _, leaf = name.rpartition(".")
        setattr(blocks.get_submodule(parent), leaf, StoredLinear(fetch, source, bias))


def _placed(source: Packed, storage: Storage, device: torch.device) -> Packed:
    """Packed weights where they stay: on the device, in main memory ready to be copied fast, or in their file."""
    if storage.place == "disk":
        return source
    if storage.place == "device":
        return Packed(source.kind, source.weight_OI.to(device, copy=source.kind == "exact"), source.scale_O1.to(device))
    if device.type != "cuda":
        return source
    scale_O1 = source.scale_O1 if source.scale_O1 is NO_SCALE else source.scale_O1.pin_memory()
    return Packed(source.kind, source.weight_OI.pin_memory(), scale_O1)
