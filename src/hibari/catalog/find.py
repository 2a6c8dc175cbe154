"""From a model's name to its folder."""

from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from hibari.catalog.digests import FILE, Digests
from hibari.catalog.folder import Model, open_folder
from hibari.catalog.licence import check_licence
from hibari.catalog.published import published_models
from hibari.config import Settings
from hibari.errors import BadWeights, UnknownModel, install
from hibari.wan_layout import is_original

GROUP = "hibari.weights"


def names(settings: Settings) -> list[str]:
    """The names of the models that are here: installed, then those in HIBARI_HOME/models."""
    installed = sorted(entry.name for entry in entry_points(group=GROUP))
    folders = settings.models_folder
    own = sorted(path.name for path in folders.iterdir() if _is_model(path)) if folders.is_dir() else []
    return list(dict.fromkeys(installed + own))


def _is_model(path: Path) -> bool:
    """Whether that folder is a model's, whole or not; a hidden one is a pull's that is under way."""
    try:
        return not path.name.startswith(".") and ((path / "model_index.json").is_file() or is_original(path))
    except PermissionError:
        return True  # why it cannot be opened is said of it alone, and hides no other


def check_names(wanted: Iterable[str], settings: Settings) -> None:
    """Raise UnknownModel for a folder's path where a name has to be, as jobs have it."""
    for name in wanted:
        if _is_path(name):
            raise UnknownModel(
                f"{name} is a folder, and jobs name their model.",
                option="model",
                hint=f"Move the folder into {settings.models_folder}, and give its name.",
            )


def _is_path(name: str) -> bool:
    return "/" in name or name in (".", "..")


def find(name: str, settings: Settings) -> Model:
    """The model of that name, or in the folder at that path, checked; raises UnknownModel or BadWeights.

    One whose licence may not be used here is a LicenceNotAllowed.
    """
    model = look(name, settings)
    check_model_licence(model, settings)
    return model


def check_model_licence(model: Model, settings: Settings) -> None:
    """Raise LicenceNotAllowed where a model's licence may not be used here."""
    accepted = model.pulled is not None and model.pulled.accepted
    check_licence(model.name, model.card.licence, settings, accepted=accepted)


def look(name: str, settings: Settings) -> Model:
    """The model of that name as `find` gives it, whatever its licence: for looking at, and not for using."""
    digests = Digests(settings.home / FILE)
    if _is_path(name):
        if not Path(name).expanduser().is_dir():
            raise UnknownModel(f"{name}: no such folder.", option="model", hint=_here(settings))
        return open_folder(Path(name).expanduser(), digests=digests)
    installed = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if installed:
        try:
            folder = Path(installed[0].load()())
        except (ImportError, AttributeError, TypeError) as error:
            raise BadWeights(
                f"{name} is installed but broken ({error}).", option="model", hint="Install it again."
            ) from error
        return open_folder(folder, name, digests)
    if name in names(settings):
        return open_folder(settings.models_folder / name, name, digests)
    known = any(each.name == name for each in published_models())
    hint = f"`hibari pull {name}` brings it." if known else _here(settings)
    raise UnknownModel(f"{name!r} is not here.", option="model", hint=hint)


def _here(settings: Settings) -> str:
    found = names(settings)
    if not found:
        return f"No model is installed. {install()} brings hibari-mini."
    return f"Here: {', '.join(found)}; or give a folder's path."
