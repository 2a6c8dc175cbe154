"""The documents' commands and links exist. About 3 seconds."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from hibari.cli import VERBS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("weights/hibari_mini/README.md")])
COMMAND = re.compile(rf"(?<![\w/.-])hibari (?:{'|'.join(VERBS)})\b[^`\n#|]*")


def commands() -> list[str]:
    """Every `hibari VERB ...` in the code of the documents."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        code = re.findall(r"```sh\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text)
        found += [command.split("&&")[0].strip() for part in code for command in COMMAND.findall(part)]
    return sorted(set(found))


def test_the_two_commands_of_the_first_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install -c constraints.txt ./weights . && hibari generate" in readme
    assert "pip install -c constraints.txt ./weights -e '.[dev]' && scripts/check" in readme
    assert len(commands()) >= 8


@pytest.mark.parametrize("command", commands())
def test_commands_parse(command: str) -> None:
    _, verb, *arguments = shlex.split(command)
    app = get_command(import_module(f"hibari.cli.{verb}").app)
    if verb == "worlds" and arguments:
        app = app.commands[arguments.pop(0)]  # type: ignore[attr-defined]
    app.make_context(verb, arguments, resilient_parsing=not arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_constraints_pin_what_the_package_needs() -> None:
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.findall(r'"([a-z0-9-]+)>=[0-9.]+"', project)
    assert not {name for name in needed if name not in pinned and name != "setuptools"}


@pytest.mark.parametrize("name", ["scripts/check", ".ci/run"])
def test_scripts_can_be_run(name: str) -> None:
    assert (ROOT / name).stat().st_mode & 0o111
