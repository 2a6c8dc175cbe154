"""`hibari models`: which models are here and what each can do; with --known, which could be pulled."""

import json
import textwrap
from dataclasses import asdict
from typing import Annotated

import typer

from hibari import catalog
from hibari.catalog.published import published_models
from hibari.cli.options import Home, Json, new_app
from hibari.config import Settings
from hibari.errors import BadWeights, LicenceNotAllowed, MissingDependency, UnknownModel, install
from hibari.request import Size
from hibari.wan_layout import is_original

app = new_app()
WIDTH = 100


@app.command()
def models(
    as_json: Json = False,
    known: Annotated[bool, typer.Option("--known", "--all", help="Published models that can be pulled.")] = False,
    home: Home = None,
) -> int:
    """Say which models are here and what each can do."""
    settings = Settings.load(home=home)
    if known:
        return _list_known(settings, as_json=as_json)
    names = catalog.names(settings)
    if not names:
        raise UnknownModel("no model is installed.", hint=f"{install()} brings hibari-mini.")
    broken = 0
    rows: list[dict[str, object]] = []
    for name in names:
        try:
            model = catalog.look(name, settings)
        except (BadWeights, MissingDependency, UnknownModel) as error:  # the last: it went a moment ago
            broken += 1
            rows.append({"name": name, "error": str(error)})
        else:
            rows.append(as_row(model, settings))
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print("\n\n".join(_as_text(row) for row in rows))
    return 1 if broken else 0


def _list_known(settings: Settings, *, as_json: bool) -> int:
    """The published models that Hibari runs, with what each would take."""
    here = catalog.names(settings)
    rows = [
        {
            "name": each.name,
            "about": each.about,
            "licence": each.licence,
            "here": each.name in here,
            "repositories": dict(each.repositories),
            "gigabytes": dict(each.gigabytes),
        }
        for each in published_models()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for each in published_models():
        sizes = ", ".join(f"{size:.0f} GB as {form}" for form, size in each.gigabytes.items())
        print(f"{each.name:26} {each.licence:16} {sizes}{' (here)' if each.name in here else ''}")
        print(f"  {each.about}")
    return 0


def as_row(model: catalog.Model, settings: Settings) -> dict[str, object]:
    """A model as plain values, for JSON."""
    card, world = model.card, model.world
    default = card.sizes[0]
    return {
        "name": card.name,
        "revision": model.stated_revision,
        "licence": card.licence,
        "refused": _refusal(model, settings),
        "runs_on": "Hibari" if model.form.backend == "native" else "diffusers",
        "pipeline": model.form.pipeline,
        "form": "original" if is_original(model.folder) else "diffusers",
        "about": card.about,
        "folder": str(model.folder),
        "bytes": model.bytes,
        "verbs": list(card.verbs),
        "render_sizes": [str(size) for size in card.sizes],
        "default_size": str(Size(default.width * card.upscale, default.height * card.upscale)),
        "fps": card.fps,
        "seconds": card.seconds,
        "max_seconds": card.max_seconds,
        "steps": card.steps,
        "guidance": card.guidance,
        "solver": card.solver,
        "fast": asdict(card.fast) if card.fast is not None else None,
        "objects": list(world.objects) if world else None,
        "motions": list(world.motions) if world else None,
        "backgrounds": list(world.backgrounds) if world else None,
    }


def _refusal(model: catalog.Model, settings: Settings) -> str | None:
    """Why this model's licence may not be used here; None where it may."""
    try:
        catalog.check_model_licence(model, settings)
    except LicenceNotAllowed as error:
        return str(error)
    return None


def _as_text(row: dict[str, object]) -> str:
    if "error" in row:
        return f"{row['name']}\n{_entry('broken', str(row['error']))}"
    lines = [f"{row['name']}  {row['licence']}, revision {row['revision']}, {int(str(row['bytes'])) / 1e6:.0f} MB"]
    facts = {
        "refused": row["refused"],
        "runs on": f"{row['runs_on']}, {row['pipeline']}, {row['form']} form",
        "about": row["about"],
        "can do": row["verbs"],
        "delivers": f"{row['default_size']} unless told, any even size of a shape near one that it renders",
        "renders": row["render_sizes"],
        "lasts": f"{row['seconds']:g} s unless told, at most {row['max_seconds']:g}, at {row['fps']} frames a second",
        "fast": _fast_words(row["fast"]),
        "objects": row["objects"],
        "motions": row["motions"],
        "places": row["backgrounds"],
    }
    for name, value in facts.items():
        if value:
            lines.append(_entry(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return "\n".join(lines)


def _fast_words(fast: object) -> str:
    """What a model's fast version is, in a line; empty for a model that has none."""
    if not isinstance(fast, dict):
        return ""
    by_default = "by default; --no-fast for the full one" if fast["default"] else "with --fast"
    guidance = "without guidance" if fast["guidance"] == 1 else f"with guidance {fast['guidance']:g}"
    return f"{fast['steps']} steps {guidance}, {by_default}"


def _entry(name: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"  {name:9} ", subsequent_indent=" " * 12)
