"""`hibari models`: which models are here and what each can do."""

import json
import textwrap

from hibari import catalog
from hibari.cli.options import Home, Json, new_app
from hibari.config import Settings
from hibari.errors import BadWeights, UnknownModel, install
from hibari.request import Size

app = new_app()
WIDTH = 100


@app.command()
def models(as_json: Json = False, home: Home = None) -> int:
    """Say which models are here and what each can do."""
    settings = Settings.load(home=home)
    names = catalog.names(settings)
    if not names:
        raise UnknownModel("no model is installed.", hint=f"{install()} brings hibari-mini.")
    broken = 0
    rows: list[dict[str, object]] = []
    for name in names:
        try:
            model = catalog.find(name, settings)
        except BadWeights as error:
            broken += 1
            rows.append({"name": name, "error": str(error)})
        else:
            rows.append(as_row(model))
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print("\n\n".join(_as_text(row) for row in rows))
    return 1 if broken else 0


def as_row(model: catalog.Model) -> dict[str, object]:
    """A model as plain values, for JSON."""
    card, world = model.card, model.world
    default = card.sizes[0]
    return {
        "name": card.name,
        "revision": model.revision,
        "licence": card.licence,
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
        "objects": list(world.objects) if world else None,
        "motions": list(world.motions) if world else None,
        "backgrounds": list(world.backgrounds) if world else None,
    }


def _as_text(row: dict[str, object]) -> str:
    if "error" in row:
        return f"{row['name']}\n{_entry('broken', str(row['error']))}"
    lines = [f"{row['name']}  {row['licence']}, revision {row['revision']}, {int(str(row['bytes'])) / 1e6:.0f} MB"]
    facts = {
        "about": row["about"],
        "can do": row["verbs"],
        "delivers": f"{row['default_size']} unless told, any even size of a shape near one that it renders",
        "renders": row["render_sizes"],
        "lasts": f"{row['seconds']:g} s unless told, at most {row['max_seconds']:g}, at {row['fps']} frames a second",
        "objects": row["objects"],
        "motions": row["motions"],
        "places": row["backgrounds"],
    }
    for name, value in facts.items():
        if value:
            lines.append(_entry(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return "\n".join(lines)


def _entry(name: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"  {name:9} ", subsequent_indent=" " * 12)
