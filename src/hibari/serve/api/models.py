"""Which models clients may ask for, by which names, and what each can do.

A client names an alias or an installed model and never a folder: the catalogue would open any path that it is given.
"""

import time
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hibari import catalog
from hibari.config import Settings
from hibari.errors import HibariError
from hibari.serve.api.call import Call
from hibari.serve.api.errors import LOG, ApiError

_FRESH_S = 30.0


class Models:
    """The models by the names that clients use, looked up again after half a minute. Safe from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._aliases = settings.service.alias_map
        self._found: dict[str, catalog.Model] = {}
        self._looked_at = float("-inf")

    def resolve(self, called: str) -> str:
        """The model behind a name; raises ApiError for one that is neither alias nor installed."""
        name = self._aliases.get(called, called)
        if name not in self.all():
            raise ApiError(400, f"The model '{called[:64]}' does not exist.", code="model_not_found", param="model")
        return name

    def is_alias(self, called: str) -> bool:
        """Whether a name is the operator's for another model."""
        return called in self._aliases

    def names(self) -> dict[str, str]:
        """Each name that clients may use, aliases first, and the model behind it; only of models that are here."""
        found = self.all()
        aliases = {alias: name for alias, name in self._aliases.items() if name in found}
        return aliases | {name: name for name in found if name not in aliases}

    def all(self) -> dict[str, catalog.Model]:
        """The whole models that are here, by their names."""
        if time.monotonic() - self._looked_at > _FRESH_S:
            self._found = self._look()
            self._looked_at = time.monotonic()
        return self._found

    def _look(self) -> dict[str, catalog.Model]:
        found = {}
        for name in dict.fromkeys([*catalog.names(self._settings), *self._aliases.values()]):
            try:
                found[name] = catalog.find(name, self._settings)
            except HibariError as error:  # one broken model must not hide the others
                LOG.warning("model %s is left out: %s", name, error)
        return found


def _shown(called: str, model: catalog.Model) -> dict[str, Any]:
    card = model.card
    created = int((model.folder / "model_index.json").stat().st_mtime)
    return {
        "id": called,
        "object": "model",
        "created": created,
        "owned_by": "hibari",
        "name": model.name,
        "revision": card.revision,
        "licence": card.licence,
        "about": card.about,
        "sizes": [f"{size.width * card.upscale}x{size.height * card.upscale}" for size in card.sizes],
        "seconds": card.seconds,
        "max_seconds": card.max_seconds,
        "fps": card.fps,
        "num_inference_steps": card.steps,
        "guidance_scale": card.guidance,
        "verbs": list(card.verbs),
    }


async def list_models(call: Call) -> Response:
    """Every name that a client may use as `model`, with what it can do."""
    models = call.service.models
    names = await to_thread.run_sync(models.names)
    data = [_shown(called, models.all()[name]) for called, name in names.items()]
    return JSONResponse({"object": "list", "data": data})


async def retrieve_model(call: Call) -> Response:
    """One model by its name."""
    models, called = call.service.models, call.path("model")
    names = await to_thread.run_sync(models.names)
    if called not in names:
        raise ApiError(404, f"The model '{called[:64]}' does not exist.", code="model_not_found", param="model")
    return JSONResponse(_shown(called, models.all()[names[called]]))
