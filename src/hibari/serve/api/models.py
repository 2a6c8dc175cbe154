"""Which models clients may ask for, by which names, and what each can do.

A client names an alias or an installed model and never a folder: the catalogue would open any path that it is given.
"""

import time
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hibari import catalog
from hibari.config import Settings
from hibari.errors import HibariError, InvalidRequest
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

    def check(self) -> None:
        """Raise HibariError where the default model, or one behind an alias, is not here: nobody could make with it."""
        named = {"HIBARI_MODEL": self._settings.model}
        named |= {f"the alias {alias}": model for alias, model in self._aliases.items()}
        here = catalog.names(self._settings)
        for what, name in named.items():
            if name not in here:
                option = "model" if what == "HIBARI_MODEL" else "aliases"
                raise InvalidRequest(
                    f"{what} leads to {name!r}, which is no model that is here.",
                    option=option,
                    hint=f"Here: {', '.join(here) or 'none'}. HIBARI_MODEL and HIBARI_ALIASES have to name such a one.",
                )
            catalog.find(name, self._settings)

    def resolve(self, called: str) -> str:
        """The model behind a name; raises ApiError for one that is neither alias nor installed."""
        name = self._aliases.get(called, called)
        if name not in self.all():
            raise ApiError(400, f"The model '{called[:64]}' does not exist.", code="model_not_found", param="model")
        return name

    def default(self) -> str:
        """What is called where nobody says: the operator's first name for the default model, or else its own."""
        model = self._settings.model
        return next((alias for alias, name in self._aliases.items() if name == model), model)

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
        for name in catalog.names(self._settings):  # what workers claim, and no folder elsewhere
            try:
                found[name] = catalog.find(name, self._settings)
            except HibariError as error:  # one broken model must not hide the others
                LOG.warning("model %s is left out: %s", name, error)
        return found


def _model_object(called: str, model: catalog.Model) -> dict[str, Any]:
    card = model.card
    created = int(model.folder.stat().st_mtime)
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
        "fast": {"num_inference_steps": card.fast.steps, "default": card.fast.default}
        if card.fast is not None
        else None,
        "verbs": list(card.verbs),
    }


async def list_models(call: Call) -> Response:
    """Every name that a client may use as `model`, with what it can do."""
    models = call.service.models
    names = await to_thread.run_sync(models.names)
    data = [_model_object(called, models.all()[name]) for called, name in names.items()]
    return JSONResponse({"object": "list", "data": data})


async def retrieve_model(call: Call) -> Response:
    """One model by its name."""
    models, called = call.service.models, call.path("model")
    names = await to_thread.run_sync(models.names)
    if called not in names:
        raise ApiError(404, f"The model '{called[:64]}' does not exist.", code="model_not_found", param="model")
    return JSONResponse(_model_object(called, models.all()[names[called]]))
