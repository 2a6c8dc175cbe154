"""An API over a whole service, asked in process: no server, no worker, and nothing that is not the real thing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from hibari.access import Users
from hibari.config import ServiceSettings, Settings
from hibari.serve.api.app import create_app
from hibari.serve.api.service import Service

ROLES = {"ann": "creator", "bob": "creator", "root": "admin", "eve": "viewer", "al": "auditor"}


class Api:
    """A service, its application, and keys of its users."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service.open(settings)
        self.keys = {}
        users = Users(self.service.store)
        for name, role in ROLES.items():
            users.add(name, role)
            self.keys[name], _ = self.service.keys.create(name)
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(create_app(self.service), client=("192.0.2.7", 1))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://hibari.test")

    def ask(self, method: str, path: str, who: str | None = "ann", **more: Any) -> httpx.Response:
        """One request as a user; None: without a key."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["authorization"] = f"Bearer {self.keys[who]}"
        return self._runner.run(self._client.request(method, path, headers=headers, **more))

    def get(self, path: str, who: str | None = "ann", **more: Any) -> httpx.Response:
        """A GET."""
        return self.ask("GET", path, who, **more)

    def post(self, path: str, who: str | None = "ann", **more: Any) -> httpx.Response:
        """A POST."""
        return self.ask("POST", path, who, **more)

    def create(self, who: str = "ann", **fields: Any) -> dict[str, Any]:
        """A queued video."""
        answer = self.post("/v1/videos", who, json={"prompt": "an octopus drifts over the ocean"} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        """End it."""
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.service.close()


@contextmanager
def api(home: Path, folder: Path, **service: Any) -> Iterator[Api]:
    """An API over a data folder of its own, in which "tiny" is the model, and "sora-2" another name of it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "models").symlink_to(home / "models")
    own = ServiceSettings(**{"aliases": "sora-2=tiny"} | service)
    opened = Api(Settings(home=folder, model="tiny", service=own))
    try:
        yield opened
    finally:
        opened.close()


def fault(answer: httpx.Response, status: int, code: str, param: str | None = None) -> str:
    """The message of an error, whose body has the one shape that clients read."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.json().keys() == {"error"}
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param), error
    assert answer.headers["x-request-id"]
    assert "Traceback" not in error["message"] and "/tmp" not in error["message"]
    return error["message"]
