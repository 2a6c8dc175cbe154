"""Stores to test against: a SQLite file, and a Postgres server started by hand from Debian's binaries."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from hibari.store import Store

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a Postgres server's first database; skips where there are no binaries."""
    if not BINARIES:
        pytest.skip("no Postgres here: apt-get install postgresql")
    with running_postgres(BINARIES[-1]) as url:
        yield url


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store: a new file, and with --slow a new Postgres database too."""
    if request.param == "sqlite":
        with Store.open(tmp_path / "hibari.db", timeout_s=20) as opened:
            yield opened
        return
    server = request.getfixturevalue("postgres")
    url = new_database(server)
    with Store.open(url, timeout_s=20) as opened:
        yield opened
    give_back(server, url)


def new_database(server: str) -> str:
    """An empty database, one that was given back where there is one: a new one is 300 files; its URL."""
    name = f"t_{secrets.token_hex(6)}"
    with talking(server) as connection:
        free = connection.scalar(text("SELECT datname FROM pg_database WHERE starts_with(datname, 'free_') LIMIT 1"))
        made = f"CREATE DATABASE {name}" if free is None else f"ALTER DATABASE {free} RENAME TO {name}"
        connection.execute(text(made))
    return server.rpartition("/")[0] + "/" + name


def give_back(server: str, url: str) -> None:
    """Empty a database and keep it for whoever wants a new one."""
    with talking(url) as connection:
        connection.execute(text("SET lock_timeout = 10000"))  # whoever still holds a table has left a connection open
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    with talking(server) as connection:
        connection.execute(text(f"ALTER DATABASE {url.rpartition('/')[2]} RENAME TO free_{secrets.token_hex(6)}"))


@contextmanager
def talking(url: str) -> Iterator[Connection]:
    """A connection of its own, each statement a transaction."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def running_postgres(binaries: Path) -> Iterator[str]:
    # Not under tmp_path: that is for its owner alone, and the server may not run as root.
    folder, change_user = Path(tempfile.mkdtemp(prefix="pg-")), []
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        change_user = ["--reuid=postgres", "--regid=postgres", "--init-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start: Callable[..., list[str]] = lambda *words: ["setpriv", *change_user, *map(str, words)]  # noqa: E731
    data = folder / "data"
    make = start(binaries / "initdb", "-D", data, "-U", "app", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
    subprocess.run(make, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    serve = start("--pdeathsig=INT", binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", folder)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*serve, "-F", "-c", "synchronous_commit=off"], cwd=folder, stderr=log)
    url = f"postgresql://app@127.0.0.1:{port}/postgres"
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([binaries / "pg_isready", "-qd", url], check=False).returncode:
            assert time.monotonic() < deadline and server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder)
