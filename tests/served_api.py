"""The API over a whole service, on a real socket, in a thread. Nobody works its queue, unless a test does."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import uvicorn

from hibari.access import Users
from hibari.config import ServiceSettings, Settings
from hibari.serve.api.app import create_app
from hibari.serve.api.service import Service

ROLES = {"ann": "creator", "bob": "creator", "root": "admin"}


@dataclass(frozen=True, kw_only=True)
class ServedApi:
    """A service, the address that its API answers at, and keys of its users."""

    service: Service
    host: str
    port: int
    keys: dict[str, str]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    def client(self, who: str = "ann", key: str | None = None) -> openai.OpenAI:
        """A client of a user, or with a key; it asks once."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or self.keys[who], max_retries=0)


@contextmanager
def served(home: Path, folder: Path, **own: Any) -> Iterator[ServedApi]:
    """An API over a data folder of its own, in which "tiny" is the model, and "sora-2" another name of it."""
    (folder / "models").symlink_to(home / "models")
    settings = ServiceSettings(**{"aliases": "sora-2=tiny,sora-2-pro=tiny", "jobs_at_once": 200} | own)
    service = Service.open(Settings(home=folder, model="tiny", service=settings))
    users, keys = Users(service.store), {}
    for name, role in ROLES.items():
        users.add(name, role)
        keys[name], _ = service.keys.create(name)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(service), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline and thread.is_alive()
            time.sleep(0.02)
        host, port = listener.getsockname()
        try:
            yield ServedApi(service=service, host=host, port=port, keys=keys)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
