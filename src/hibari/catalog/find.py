"""From a model's name to its folder."""

from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from hibari.catalog.digests import FILE, Digests
from hibari.catalog.folder import Model, open_folder
from hibari.config import Settings
from hibari.errors import BadWeights, UnknownModel, install

GROUP = "hibari.weights"


def names(settings: Settings) -> list[str]:
    """The names of the models that are here: installed, then those in HIBARI_HOME/models."""
    installed = sorted(entry.name for entry in entry_points(group=GROUP))
    folders = settings.models_folder
    own = sorted(path.parent.name for path in folders.glob("*/model_index.json")) if folders.is_dir() else []
    return list(dict.fromkeys(installed + own))


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
    """The model of that name, or in the folder at that path, checked; raises UnknownModel or BadWeights."""
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
    raise UnknownModel(f"{name!r} is not here.", option="model", hint=_here(settings))


def _here(settings: Settings) -> str:
    found = names(settings)
    if not found:
        return f"No model is installed. {install()} brings hibari-mini."
    return f"Here: {', '.join(found)}; or give a folder's path."
