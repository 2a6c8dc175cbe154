"""What a pipeline of the installed diffusers takes, read from its source: importing it would load torch."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hibari.errors import BadWeights, MissingDependency, install


@dataclass(frozen=True, kw_only=True)
class Call:
    """How a pipeline is called: every parameter it `takes`, those it `needs`, and `defaults` that are plain values.

    `counts` says that it counts its steps in `self.progress_bar`, where it can be followed and stopped;
    `gives_frames` that its result has `frames`.
    """

    takes: frozenset[str]
    needs: frozenset[str]
    defaults: dict[str, Any]
    counts: bool
    gives_frames: bool


def pipelines_folder() -> Path:
    """Where the installed diffusers keeps its pipelines; raises MissingDependency without one."""
    spec = find_spec("diffusers")
    if spec is None or spec.origin is None:
        raise MissingDependency("diffusers is not installed, and it runs this model.", hint=f"{install('diffusers')}.")
    return Path(spec.origin).parent / "pipelines"


def call_of(pipeline: str) -> Call:
    """How the class of that name is called; raises BadWeights where the installed diffusers has no such pipeline."""
    found = _class(pipeline)
    if found is None:
        raise BadWeights(
            f"diffusers {version('diffusers')}, which is installed, has no {pipeline}.",
            option="model",
            hint="Install the release of diffusers that this model asks for.",
        )
    call = next((each for each in found.body if isinstance(each, ast.FunctionDef) and each.name == "__call__"), None)
    if call is None:
        bases = [base.id for base in found.bases if isinstance(base, ast.Name) and base.id.endswith("Pipeline")]
        if not bases or bases[0] == "DiffusionPipeline":
            raise BadWeights(f"{pipeline} of diffusers cannot be called.", option="model")
        return call_of(bases[0])
    return _read(call)


def _class(name: str) -> ast.ClassDef | None:
    if not name.isidentifier():
        return None
    wanted = f"\nclass {name}("
    for path in _sources(name):
        text = path.read_text(encoding="utf-8")
        if wanted in text:
            body = ast.parse(text).body
            return next(each for each in body if isinstance(each, ast.ClassDef) and each.name == name)
    return None


def _sources(name: str) -> Iterator[Path]:
    """The files that pipelines stand in, first of folders whose name the class begins with: they mostly have it."""
    folders = sorted(path for path in pipelines_folder().iterdir() if path.is_dir())
    for folder in sorted(folders, key=lambda path: not name.lower().startswith(path.name.replace("_", "")[:4])):
        yield from sorted(folder.glob("pipeline_*.py"))


def _read(call: ast.FunctionDef) -> Call:
    named = call.args.args[1:]
    first = len(named) - len(call.args.defaults)
    pairs: list[tuple[str, ast.expr | None]] = [(each.arg, None) for each in named[:first]]
    pairs += [(each.arg, value) for each, value in zip(named[first:], call.args.defaults, strict=True)]
    pairs += [(each.arg, value) for each, value in zip(call.args.kwonlyargs, call.args.kw_defaults, strict=True)]
    return Call(
        takes=frozenset(name for name, _ in pairs),
        needs=frozenset(name for name, value in pairs if value is None),
        defaults={name: value.value for name, value in pairs if isinstance(value, ast.Constant)},
        counts=any(isinstance(each, ast.Attribute) and each.attr == "progress_bar" for each in ast.walk(call)),
        gives_frames=any(isinstance(each, ast.keyword) and each.arg == "frames" for each in ast.walk(call)),
    )
