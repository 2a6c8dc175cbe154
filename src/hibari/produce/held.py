"""The models that are loaded and kept for the next request, and the processes of a torchrun that hold them too."""

from pathlib import Path
from typing import TYPE_CHECKING

from hibari import catalog
from hibari.config import Launch, Settings, launch
from hibari.errors import InvalidRequest
from hibari.produce.foreseen import Fit, Fitted
from hibari.produce.frames import give_memory_back

if TYPE_CHECKING:
    from hibari.generate.backend import Backend
    from hibari.generate.parallel import Team


class HeldModels:
    """The models that were used last: `service.models_held` of them, or as many as have room beside each other.

    One that has to make room goes before the next is loaded.
    """

    def __init__(self, settings: Settings) -> None:
        """`settings` say how many, on what they compute and in which number type."""
        self._settings = settings
        self._held: dict[tuple[Path, Fit], tuple[Backend, Fitted | None]] = {}  # the last used last
        self._team: Team | None = None  # of a torchrun's processes, once the first model is loaded

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models that are loaded."""
        return tuple(backend.model.name for backend, _ in list(self._held.values()))

    def get(self, model: catalog.Model, fitted: Fitted | None) -> "Backend":
        """The model, loaded in the way that was found for it; those that were not used for longest go for it."""
        fit = fitted.fit if fitted is not None else Fit()
        key = (model.folder, fit.held)
        backend, _ = self._held.pop(key, (None, None))
        if backend is None or backend.model != model:  # nobody's record may name weights that lie there since
            backend = None
            for other in [other for other in self._held if other[0] == model.folder]:  # held in another way
                self._let_go(other)
            # The other processes of a torchrun hold the last one alone.
            while len(self._held) >= (self._settings.service.models_held if launch().size == 1 else 1):
                self._let_go(next(iter(self._held)))
        while self._held and not self._have_room(fitted):
            self._let_go(next(iter(self._held)))
        if backend is None:
            backend = _load(model, self._settings, fit, self._meet())
        self._held[key] = backend, fitted
        model.weights_sha256  # noqa: B018  # told now, while it is certain that these were loaded
        return backend.in_way(fit)

    def follow(self) -> None:
        """Of a torchrun's processes all but the first: work with it until it is done. They make no file."""
        from hibari.generate.parallel import follow

        follow(_join(self._settings, launch()))

    def close(self) -> None:
        """Let the other processes of a torchrun go, where there are any."""
        if self._team is not None:
            self._team.end()
            self._team = None

    def _let_go(self, key: tuple[Path, Fit]) -> None:
        del self._held[key]
        give_memory_back()

    def _have_room(self, fitted: Fitted | None) -> bool:
        """Whether a making has room beside the models that are held."""
        return fitted is None or fitted.has_room_beside([other for _, other in self._held.values() if other])

    def _meet(self) -> "Team | None":
        place = launch()
        if place.rank:
            raise InvalidRequest("this verb is for one process.", hint="Start it without torchrun.")
        if place.size > 1 and self._team is None:
            self._team = _join(self._settings, place)
        return self._team


def _load(model: catalog.Model, settings: Settings, fit: Fit, team: "Team | None" = None) -> "Backend":
    """The one place where torch comes in for generating; with a `team` its other processes load the model too."""
    import torch

    from hibari.generate.backend import load_backend
    from hibari.machine import pick_device, pick_dtype

    compiled = settings.engine.compile == "on"
    if team is not None:
        from hibari.generate.parallel import Lead

        assert fit.held == Fit() and not compiled, "the plan has refused every other way"
        return Lead.load(team, model, pick_dtype(settings.dtype, team.device))
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = pick_device(settings.device)
    return load_backend(model, device, pick_dtype(settings.dtype, device), fit, compiled=compiled)


def _join(settings: Settings, place: Launch) -> "Team":
    """Meet the other processes of a torchrun; each takes an accelerator of its own where there are any."""
    import torch

    from hibari.generate.parallel import Team
    from hibari.machine import pick_device

    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = pick_device(settings.device)
    if device.type == "cuda":
        device = pick_device(f"cuda:{place.device}")
    return Team.join(place, device, settings.engine.parallel)  # type: ignore[arg-type]  # checked where it was set
