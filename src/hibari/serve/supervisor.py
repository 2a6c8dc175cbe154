"""`hibari serve`: the API in this process, workers as children that are started again when they die. No torch here.

The first start makes the user "admin" and shows their key. The end comes in order: the API takes nothing new and
finishes what it answers, then the workers finish or give back what they make.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from types import FrameType

from hibari import machine
from hibari.access import Actor, Audit, Decision, Keys, Resource, Users
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.media.files import beside
from hibari.provenance.house import house_of
from hibari.provenance.places import ledger_url
from hibari.serve.journal import write_journal
from hibari.serve.pipes import encode_settings
from hibari.store import Store

ADMIN, FIRST_KEY = "admin", "admin.key"
FAREWELL_S = 20.0  # more than a worker's own: what it makes, its cancel, its maker's end
LOOK_S = 0.2
_UNREAD_MS = 60_000  # that what was sent may lie unread on the other side before the connection ends
_LOG = logging.getLogger(__name__)


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; raises HibariError for what keeps the service from starting.

    `port=0` takes a free one; the address stands on standard error once it answers, and before it the admin's key.
    """
    if workers < 0:
        raise InvalidRequest(f"{workers} is not allowed.", option="workers", hint="Give 0 or more.")
    from hibari.serve.api.models import Models

    Models(settings).check()
    write_journal()
    settings.ensure_home()
    with _listening(host, port) as listener:
        _run_api(settings, listener, workers)


def _run_api(settings: Settings, listener: socket.socket, workers: int) -> None:
    import uvicorn

    from hibari.serve.api.app import create_app
    from hibari.serve.api.service import Service

    with Store.open(ledger_url(settings)) as store:
        house_of(settings, store).join()
        welcome(store, settings.home)
    service = Service.open(settings)
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
        # What came before us on the way is believed by its settings alone, and there are none.
        proxy_headers=False,
    )
    crew = Crew(settings=shared_out(settings, workers), size=workers)
    address = url_of(listener)

    class Announced(uvicorn.Server):
        """A server that says where it is, once it is there."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Start to answer, and then to make."""
            await super().startup(sockets=sockets)
            say(f"Hibari serves at {address}/v1")

    server = Announced(config)
    with crew.working(), _ending_quietly():
        server.run(sockets=[listener])


def welcome(store: Store, home: Path) -> str | None:
    """Make the first user and hand over their key, this once; None where there are users. Raises OutputError.

    A person at a terminal reads it there. Where standard error is no terminal it is a log that others keep and read, so
    that the key goes into a file for its owner alone, and the log says where.
    """
    users = Users(store)
    if users.list():
        return None
    first = Decision(allowed=True, reason="the first start of the service: its admin, and a key")
    Audit(store).write(
        Actor(user=ADMIN, role="admin"), "user.manage", Resource(kind="user", owner=ADMIN, id=ADMIN), first
    )
    users.add(ADMIN, "admin")
    token, _ = Keys(store).create(ADMIN)
    if sys.stderr.isatty():
        say(f"The admin's key, which is shown this once: {token}")
        return token
    target = home / FIRST_KEY
    with beside(target, private=True) as partial:
        partial.write_text(token + "\n", encoding="ascii")
    say(f"The admin's key is in {target}: keep it elsewhere, and delete the file.")
    return token


def shared_out(settings: Settings, workers: int) -> Settings:
    """The settings of each of several workers on one machine: they share its processor cores."""
    if settings.threads or workers < 2:
        return settings
    return replace(settings, threads=max(1, machine.cores() // workers))


@dataclass(kw_only=True)
class Post:
    """A worker's place: who works there now, how often they failed in a row, and when the next may start."""

    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    next_at: float = 0.0


@dataclass(kw_only=True)
class Crew:
    """The workers of a service, kept at their number."""

    settings: Settings
    size: int
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "hibari.serve.work.worker")
    posts: list[Post] = field(init=False)
    _over: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.posts = [Post() for _ in range(self.size)]

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keep the crew complete while the block runs, and then let it go home."""
        keeper = Thread(target=self._keep, daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._over.set()
            keeper.join()
            self._let_go()

    def _keep(self) -> None:
        while not self._over.is_set():
            for number, post in enumerate(self.posts):
                self._look_after(number, post)
            self._over.wait(LOOK_S)

    def _look_after(self, number: int, post: Post) -> None:
        """Start a worker where there is none: later each time where they fail before they can work, else at once."""
        now = time.monotonic()
        if post.process is not None and (code := post.process.poll()) is not None:
            # A worker that was killed did not fail, though it may have had no time to get ready.
            post.deaths = 0 if code == -signal.SIGKILL or was_ready(post.process) else post.deaths + 1
            post.next_at = now + wait_before(post.deaths)
            _close(post.process)
            post.process = None
            _LOG.warning("worker %d ended with %d; the next starts in %.1f s", number, code, post.next_at - now)
        if post.process is None and now >= post.next_at:
            try:
                post.process = self._start()
            except OSError as error:  # no memory or no process to be had just now
                post.deaths += 1
                post.next_at = now + wait_before(post.deaths)
                _LOG.warning("worker %d cannot be started: %s", number, error)

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches us alone. Its standard input ends with us, however we end.
        process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        assert process.stdin is not None
        try:
            process.stdin.write(encode_settings(self.settings))
        except BrokenPipeError:
            _LOG.warning("worker %d ended before it had its settings", process.pid)
        return process

    def _let_go(self) -> None:
        working = [post.process for post in self.posts if post.process is not None]
        for process in working:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + FAREWELL_S
        for process in working:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()  # its jobs are another's when their leases are over
                process.wait()
            _close(process)


def was_ready(process: subprocess.Popen[bytes]) -> bool:
    """Whether a worker that has ended had come as far as to work, which it says on its standard output."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)  # whoever it left behind may hold the other end
    return bool(process.stdout.read())


def wait_before(deaths: int) -> float:
    """Seconds until a worker is started again, by how many failed in a row before they could work."""
    return 0.0 if deaths <= 1 else float(min(60, 2 ** (deaths - 2)))


def url_of(listener: socket.socket) -> str:
    """The address that a listening socket answers at."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def say(line: str) -> None:
    """A line for the person who started this, whatever the log says."""
    sys.stderr.write(f"hibari: {line}\n")
    sys.stderr.flush()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket, taken before anything else is opened; raises InvalidRequest."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio lets small answers go at once (TCP_NODELAY) only on sockets that are TCP by name.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":  # what is accepted inherits it; elsewhere who reads no more keeps a socket
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InvalidRequest(
                f"{host}:{port} cannot be listened at ({reason}).", option="port", hint="Choose another."
            ) from error
        yield listener


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """uvicorn repeats the signal that ended it; the end is orderly, and so is our exit code."""

    def ignore(_: int, __: FrameType | None) -> None:
        return

    before = {each: signal.signal(each, ignore) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.stdout.close()
