"""A model hub on this machine, for tests: the part of the hub's API that huggingface_hub asks when it downloads."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 1000  # bytes, from which a file is one of LFS


@dataclass
class Hub:
    """What the hub holds and how it misbehaves; `asked` are the paths that were asked for, with their Range.

    Large files lie in a storage of another name, which is to see no token: `shown` are those that it was shown.
    """

    repository: str
    folder: Path
    licence: str = "apache-2.0"
    stalls: str = ""  # a file that stops half way, until `go` is set
    spoils: str = ""  # a file that comes with other bytes than promised
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    half_way: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def listing(self) -> dict[str, Any]:
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        named = self.licence in ("apache-2.0", "mit")
        card = {"license": self.licence} if named else {"license": "other", "license_name": self.licence}
        return {
            "id": self.repository,
            "sha": COMMIT,
            "tags": [],
            "cardData": card,
            "siblings": [self._sibling(path) for path in paths],
        }

    def _sibling(self, path: Path) -> dict[str, Any]:
        data = path.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        entry: dict[str, Any] = {"rfilename": str(path.relative_to(self.folder)), "size": len(data), "blobId": git}
        if len(data) >= LARGE:
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/"):
            if self.path.split("?")[0] != f"/api/models/{self.hub.repository}":
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            self._answer(200, json.dumps(self.hub.listing()).encode(), {"Content-Type": "application/json"})
        else:
            self._file(body=True)

    def _file(self, *, body: bool) -> None:
        name = self.path.removeprefix(f"/{self.hub.repository}/resolve/{COMMIT}/").removeprefix("/storage/")
        path = self.hub.folder / name
        if not path.is_file():
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data = path.read_bytes()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        if not body:
            headers["Content-Length"] = str(len(data))
            if len(data) >= LARGE:
                elsewhere = self.hub.url.replace("127.0.0.1", "localhost")
                headers |= {"Location": f"{elsewhere}/storage/{name}", "X-Linked-Size": str(len(data))}
            self._answer(302 if len(data) >= LARGE else 200, b"", headers)
            return
        if self.path.startswith("/storage/"):
            self.hub.shown.append(self.headers.get("Authorization", ""))
        asked = self.headers.get("Range", "")
        self.hub.asked.append((name, asked))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if name == self.hub.spoils:
            data = bytes(len(data))
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if asked else 200, data[start:], headers, stall=name == self.hub.stalls)

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, stall: bool) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(key, value)
        self.end_headers()
        half = len(data) // 2 if stall else len(data)
        self.wfile.write(data[:half])
        self.wfile.flush()
        if stall:
            self.hub.half_way.set()
            self.hub.go.wait(60)
        self.wfile.write(data[half:])

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Nothing: the tests look at `asked`."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub, answering at `hub.url` while the block runs."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.go.set()
        server.shutdown()
        server.server_close()
        thread.join()
