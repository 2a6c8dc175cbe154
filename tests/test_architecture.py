"""The house holds: floors, forbidden pairs, sizes, and where torch may come in. About 4 seconds."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "hibari"
FLOORS: list[set[str]] = [
    {"errors"},
    {"shapes"},  # the ground floor has a cellar: shapes say what is wrong in the words of errors
    {"config", "request", "clip", "media", "fetch", "flow", "machine", "wan_keys", "wan_layout"},
    {"model", "worlds", "data", "catalog", "safety", "store"},
    {"access", "provenance", "train", "generate"},
    {"produce"},
    {"evaluate", "recipes"},
    {"serve"},
    {"cli"},
]
NEVER = {("cli", "generate"), ("serve", "generate")}  # they go through produce
DOORS = {"__init__", "__main__"}  # the package's own two, which point at what others hold
TORCH_FREE = [
    "shapes", "errors", "config", "request", "clip", "catalog", "media", "machine", "store", "safety", "produce", "cli",
    "fetch", "access", "serve", "wan_keys", "wan_layout",
]  # fmt: skip
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_FIELDS = 500, 80, 8, 20
FILES = sorted(SOURCE.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def floor_of(room: str) -> int:
    found = [index for index, rooms in enumerate(FLOORS) if room in rooms]
    assert found, f"{room} has no floor: add it to FLOORS and to docs/architecture.md"
    return found[0]


def imports(path: Path) -> Iterator[str]:
    """The rooms that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "hibari":
            names = [f"hibari.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("hibari."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_lower_floors(path: Path) -> None:
    room = room_of(path)
    if room in DOORS:
        return
    for other in imports(path):
        if other != room:
            assert floor_of(other) < floor_of(room), f"{room} imports {other}"
            assert (room, other) not in NEVER, f"{room} imports {other}"


def test_the_api_and_its_workers_share_only_what_stands_beside_them() -> None:
    for side, other in (("api", "work"), ("work", "api")):
        for path in (SOURCE / "serve" / side).glob("*.py"):
            assert f"hibari.serve.{other}" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it is"
    for node in ast.walk(tree):
        if isinstance(node, Function):
            assert lines(node) <= MAX_FUNCTION_LINES, node.name
            if not is_verb(path, node):
                assert parameters(node) <= MAX_PARAMETERS, node.name
        elif isinstance(node, ast.ClassDef):
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
            assert len(fields) <= MAX_FIELDS, node.name


def lines(node: Function) -> int:
    """Lines of a function below its signature, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(node: Function) -> int:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([argument for argument in named if argument.arg not in ("self", "cls")])


def is_verb(path: Path, node: Function) -> bool:
    """A verb's parameters are its flags, and DESIGN fixes those."""
    return room_of(path) == "cli" and any(isinstance(part, ast.Call) for part in node.decorator_list)


def test_no_word_for_what_has_no_name() -> None:
    vague = {"utils", "common", "helpers", "misc", "manager"}
    assert not [path for path in FILES if vague & set(path.with_suffix("").parts)]


@pytest.mark.parametrize("room", TORCH_FREE)
def test_rooms_that_load_no_torch(room: str) -> None:
    modules = [
        "hibari." + ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
        if room_of(path) == room
    ]
    code = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_is_quick_and_loads_little() -> None:
    code = "import sys; from hibari.cli import run; run(['--help']); assert not {'torch', 'typer'} & set(sys.modules)"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert time.perf_counter() - start < 3.0, "0.1 s on an idle machine; this bound is for a busy one"
