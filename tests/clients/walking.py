"""Runs a client's walk beside the test that reads it, and installs the clients that this Python does not have."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from hibari.serve.api.outbox import signed
from hibari.store.webhooks import Webhooks
from whole_service import WholeService

HERE = Path(__file__).parent
LONGEST_S = 900.0
Seen = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What a client saw, step by step."""

    seen: list[Seen]

    def one(self, step: str, **where: object) -> Seen:
        """The only line of a step that has these values."""
        [found] = [one for one in self.seen if one["step"] == step and where.items() <= one.items()]
        return found

    def video(self, step: str) -> Seen:
        """The Video object of a step."""
        return self.one(step)["video"]


@dataclass(frozen=True, kw_only=True)
class Walker:
    """A client that can be started: its command, where, and with which environment."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]

    def walk(self, service: WholeService, user: str, picture: Path, clip: Path) -> Walk:
        """Start it as a new user and read it to its end."""
        given = {
            "url": service.url,
            "key": service.key_of(user),
            "other_key": service.key_of(f"not-{user}"),
            "picture": str(picture),
            "clip": str(clip),
        }
        complaints = self.folder / "errors.txt"
        with complaints.open("w") as errors:
            process = subprocess.Popen(
                [*self.command, json.dumps(given)],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        late = Timer(LONGEST_S, process.kill)
        late.start()
        seen: list[Seen] = []
        with process:
            assert process.stdin is not None and process.stdout is not None
            for line in process.stdout:
                seen.append(json.loads(line))
                if seen[-1]["step"] == "endpoint":
                    process.stdin.write(json.dumps(_event(service, user, seen[-1]["id"])) + "\n")
                    process.stdin.flush()
        late.cancel()
        assert process.returncode == 0, f"after {seen[-1:]}: {complaints.read_text()[-3000:]}"
        return Walk(seen=seen)


def _event(service: WholeService, user: str, endpoint_id: str) -> Seen:
    """An event as the outbox would send it to this endpoint, signed with the secret that is stored.

    Nothing sends it: the service asks no address on this machine.
    """
    with service.store() as store:
        notice = Webhooks(store).sample(user, endpoint_id, "video.completed")
    assert notice is not None
    return {"body": notice.body, "headers": signed(notice, round(time.time()))}


def python_walker(folder: Path, environment: Mapping[str, str], target: Path | None = None) -> Walker:
    """The Python client: of this environment, or the one that was installed into `target`."""
    where = {"PYTHONPATH": str(target)} if target is not None else {}
    kept = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    return Walker(command=(sys.executable, str(HERE / "walk.py")), folder=folder, environment=kept | where)


def npm_walker(folder: Path, environment: Mapping[str, str], lock: str, node: str = "node") -> Walker:
    """The client of npm that a folder beside this file locks, installed into `folder`; `node` runs it."""
    for source in (HERE / "walk.mjs", HERE / lock / "package.json", HERE / lock / "package-lock.json"):
        (folder / source.name).write_bytes(source.read_bytes())
    run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
    return Walker(command=(node, "walk.mjs"), folder=folder, environment=environment)


def pip_install(target: Path, *what: str) -> Path:
    """Install packages into a folder of their own."""
    run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), *what], HERE)
    return target


def run(command: Sequence[str], folder: Path) -> str:
    """What a command prints; an AssertionError with all that it said where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done.stdout
