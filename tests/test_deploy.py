"""The container files hold together, as far as a machine without Docker can tell: nothing is built. 3 seconds."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from sqlalchemy.engine import make_url
from typer.main import get_command

from hibari.cli import VERBS
from hibari.config import Settings, from_environment

ROOT = Path(__file__).parents[1]
DOCKERFILE, COMPOSE = ROOT / "deploy" / "Dockerfile", ROOT / "deploy" / "compose.yaml"
GIVEN = {"POSTGRES_PASSWORD": "secret1", "S3_KEY": "name", "S3_SECRET": "secret2"}
VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")
KNOWN_INSTRUCTIONS = {
    "FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "CMD",
}  # fmt: skip


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order: the word, and what follows it."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def following(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def environment() -> dict[str, str]:
    """What the image's ENV sets."""
    return dict(pair.split("=", 1) for rest in following("ENV") for pair in shlex.split(rest))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file with every variable put in."""
    document = yaml.safe_load(VARIABLE.sub(lambda found: GIVEN[found[1]], COMPOSE.read_text()))
    assert isinstance(document, dict)
    return document


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in compose["services"].items() if "build" in each}


def options(command: list[str]) -> dict[str, Any]:
    """The options of a `hibari VERB ...` command, parsed as the verb itself does."""
    program, verb, *arguments = command
    assert program == "hibari" and verb in VERBS
    return get_command(import_module(f"hibari.cli.{verb}").app).make_context(verb, arguments).params


def settings_of(compose: dict[str, Any], name: str) -> Settings:
    """A service's settings, made as the command makes them; an unknown variable raises."""
    values = from_environment(environment() | ours(compose)[name]["environment"])
    return Settings.load(**values)


def test_the_image_is_made_of_what_is_there() -> None:
    assert {word for word, _ in instructions()} <= KNOWN_INSTRUCTIONS
    own = [shlex.split(rest) for rest in following("COPY") if not rest.startswith("--from")]
    for *sources, _ in own:
        for source in sources:
            assert (ROOT / source).exists(), source
    [install] = [rest for rest in following("RUN") if "pip install" in rest]
    words = shlex.split(install)
    copied = {source for *sources, _ in own for source in sources}
    assert words[words.index("-c") + 1] in copied and "./weights" in words and {"weights", "src"} <= copied
    project = (ROOT / "pyproject.toml").read_text()
    [extras] = re.findall(r"\.\[([a-z0-9,]+)\]", install)
    for extra in extras.split(","):
        assert re.search(rf"^{extra} = \[", project, re.M), extra
    needed = re.findall(r"^(?:readme|license-files) = .*$", project, re.M)
    for file in re.findall(r'"([\w.]+)"', " ".join(needed)):
        assert file in copied, "pip reads it when it installs"


def test_the_image_runs_as_nobody_special() -> None:
    words = [word for word, _ in instructions()]
    user = following("USER")[-1]
    assert user not in ("root", "0") and words.index("USER") < words.index("CMD")
    [making] = [rest for rest in following("RUN") if "useradd" in rest]
    home = environment()["HIBARI_HOME"]
    assert f"--owner={user}" in making and "--mode=0700" in making and making.endswith(home)
    assert following("VOLUME") == [home]
    assert environment()["PATH"].startswith("/opt/hibari/bin:")


def test_the_image_serves_at_the_port_that_it_exposes() -> None:
    [command] = following("CMD")
    parsed = options(json.loads(command))
    assert following("EXPOSE") == [str(parsed["port"])] and parsed["host"] == "0.0.0.0" and parsed["workers"] == 1


def test_commands_are_verbs_and_ports_agree(compose: dict[str, Any]) -> None:
    api, worker = ours(compose)["api"], ours(compose)["worker"]
    assert not options(worker["command"])["model"], "all models that are there"
    parsed = options(api["command"])
    assert parsed["workers"] == 0, "the workers are a service of their own"
    [published] = api["ports"]
    address, _, inside = published.rsplit(":", 2)
    assert address == "127.0.0.1" and int(inside) == parsed["port"] == int(following("EXPOSE")[0])
    [asked] = re.findall(r"http://[\w.:]+/\w+", api["healthcheck"]["test"][-1])
    assert urlsplit(asked).port == parsed["port"] and urlsplit(asked).path == "/readyz"
    compile(api["healthcheck"]["test"][-1], "healthcheck", "exec")


@pytest.mark.parametrize("name", ["api", "worker"])
def test_every_variable_is_a_setting_and_leads_somewhere(compose: dict[str, Any], name: str) -> None:
    service, services = ours(compose)[name], compose["services"]
    settings = settings_of(compose, name)
    database = make_url(settings.database or "")
    assert database.get_backend_name() == "postgresql" and database.password == GIVEN["POSTGRES_PASSWORD"]
    postgres = services[database.host]["environment"]
    told = (postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"], postgres["POSTGRES_DB"])
    assert told == (database.username, database.password, database.database)
    store = urlsplit(service["environment"]["AWS_ENDPOINT_URL"])
    assert f"-s3.port={store.port}" in services[store.hostname]["command"]
    bucket, _, prefix = (settings.service.files or "").removeprefix("s3://").partition("/")
    assert f"s3.bucket.create -name {bucket}'" in services["bucket"]["entrypoint"][-1] and prefix
    [identity] = json.loads(compose["configs"]["s3"]["content"])["identities"]
    assert {action.rpartition(":")[2] for action in identity["actions"]} == {bucket}
    [keys] = identity["credentials"]
    own = service["environment"]
    assert (keys["accessKey"], keys["secretKey"]) == (own["AWS_ACCESS_KEY_ID"], own["AWS_SECRET_ACCESS_KEY"])


def test_api_and_workers_share_everything(compose: dict[str, Any]) -> None:
    api, worker = ours(compose)["api"], ours(compose)["worker"]
    assert ours(compose).keys() == {"api", "worker"}
    for key in ("image", "build", "environment", "volumes", "depends_on"):
        assert api[key] == worker[key], key
    build = COMPOSE.parent / api["build"]["context"]
    assert build.resolve() == ROOT and (build / api["build"]["dockerfile"]).resolve() == DOCKERFILE
    homes = [volume.partition(":")[2] for volume in api["volumes"]]
    assert environment()["HIBARI_HOME"] in homes


def test_names_that_are_used_are_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"], f"{name}: {volume}"
        for other, how in service.get("depends_on", {}).items():
            assert other in compose["services"], f"{name}: {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][other]
        for config in service.get("configs", []):
            assert config["source"] in compose["configs"]
        if "build" not in service:
            assert re.fullmatch(r"[a-z0-9/.-]+:[0-9.]+", service["image"]), "a version, and not whatever is newest"


def test_no_secret_stands_in_the_file() -> None:
    text = COMPOSE.read_text()
    for line in text.splitlines():
        if re.search(r"PASSWORD|SECRET|secretKey|ACCESS_KEY|accessKey", line):
            assert VARIABLE.search(line), line
    assert set(VARIABLE.findall(text)) == GIVEN.keys()
    page = (ROOT / "docs" / "service.md").read_text()
    for name in GIVEN:
        assert name in page, f"{name} is explained nowhere"
