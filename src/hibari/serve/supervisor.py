"""`hibari serve`: the API in this process, workers as children that are started again when they die. No torch here.

The first start makes the user "admin" and shows their key. The end comes in order: the API takes nothing new and
finishes what it answers, then the workers finish or give back what they make.
"""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread
from types import FrameType

from hibari import machine
from hibari.access import Actor, Audit, Decision, Keys, Resource, Users
from hibari.config import Settings
from hibari.errors import HibariError, InvalidRequest
from hibari.media.files import beside
from hibari.provenance.house import house_of
from hibari.provenance.places import ledger_url
from hibari.safety import Policy
from hibari.serve.journal import write_journal
from hibari.serve.pipes import encode_settings
from hibari.serve.work.device import check_device
from hibari.serve.work.worker import CANNOT, READY
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
    Policy.load(settings.policy)
    if workers:
        check_device(settings.device)
    write_journal(settings.service.log)
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

    class Announced(uvicorn.Server):
        """A server that says where it is, once it is there."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Start to answer, and then to make."""
            await super().startup(sockets=sockets)
            for line in announcement(listener):
                say(line)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """Answer what was asked, and then let the workers go."""
            _LOG.info("stopping: what is being made is finished within seconds, or goes back into the queue")
            await super().shutdown(sockets=sockets)

    server = Announced(config)

    def give_up() -> None:
        server.should_exit = True

    with crew.working(give_up), _ending_quietly():
        server.run(sockets=[listener])
    if crew.refusal:
        raise HibariError(crew.refusal)
    _LOG.info("stopped")


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
    """A worker's place: who works there now, how often they failed in a row, the starts, and when the next may be."""

    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    starts: int = 0
    next_at: float = 0.0


@dataclass(kw_only=True)
class Crew:
    """The workers of a service, kept at their number. `refusal` is why the first to work at a place could not."""

    settings: Settings
    size: int
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "hibari.serve.work.worker")
    posts: list[Post] = field(init=False)
    refusal: str = ""
    _over: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.posts = [Post() for _ in range(self.size)]

    @contextmanager
    def working(self, give_up: Callable[[], object]) -> Iterator[None]:
        """Keep the crew complete while the block runs, and then let it go home.

        `give_up` is called where the first worker of a place says that it cannot work: so no other could.
        """
        keeper = Thread(target=self._keep, args=(give_up,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._over.set()
            keeper.join()
            self._let_go()

    def _keep(self, give_up: Callable[[], object]) -> None:
        while not self._over.is_set():
            for number, post in enumerate(self.posts):
                self._look_after(number, post)
            if self.refusal:
                give_up()
                return
            self._over.wait(LOOK_S)

    def _look_after(self, number: int, post: Post) -> None:
        """Start a worker where there is none: later each time where they fail before they can work, else at once."""
        now = time.monotonic()
        if post.process is not None and (code := post.process.poll()) is not None:
            # A worker that was killed did not fail, though it may have had no time to get ready.
            words = last_words(post.process)
            post.deaths = 0 if code == -signal.SIGKILL or words.startswith(READY) else post.deaths + 1
            post.next_at = now + wait_before(post.deaths)
            _close(post.process)
            post.process = None
            why = words.partition(CANNOT)[2].decode(errors="replace")
            if why and post.starts == 1 and not words.startswith(READY):
                self.refusal = why
                return
            end = f"ended with {code}: {why}" if why else f"ended with {code}"
            _LOG.warning("worker %d %s; the next starts in %.1f s", number, end, post.next_at - now)
        if post.process is None and now >= post.next_at:
            try:
                post.process = self._start()
                post.starts += 1
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


def last_words(process: subprocess.Popen[bytes]) -> bytes:
    """What a worker that has ended said on its standard output: READY where it had come so far, CANNOT and why."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)  # whoever it left behind may hold the other end
    return process.stdout.read() or b""


def wait_before(deaths: int) -> float:
    """Seconds until a worker is started again, by how many failed in a row before they could work."""
    return 0.0 if deaths <= 1 else float(min(60, 2 ** (deaths - 2)))


def announcement(listener: socket.socket) -> list[str]:
    """What a person is told of where a listening socket answers."""
    host, port = listener.getsockname()[:2]
    lines = [f"Hibari serves at {url_of(listener)}/v1"]
    address = ip_address(host.partition("%")[0])
    if address.is_unspecified:
        lines[0] += f" (on all addresses of this machine, port {port})"
    if not address.is_loopback:
        lines.append("There is no TLS here: for others than this machine, put a proxy before it (see docs/service.md).")
    return lines


def url_of(listener: socket.socket) -> str:
    """The address that a listening socket answers at, by the machine's name where it is all of the machine's."""
    host, port = listener.getsockname()[:2]
    if ip_address(host.partition("%")[0]).is_unspecified:
        host = socket.gethostname()
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
            raise _unusable(host, port, error) from error
        yield listener


def _unusable(host: str, port: int, error: OSError | OverflowError) -> InvalidRequest:
    """Why an address cannot be listened at, and what to choose instead."""
    if isinstance(error, OverflowError):
        return InvalidRequest(f"{port} is not allowed.", option="port", hint="Give 0 to 65535.")
    if error.errno == errno.EADDRINUSE:
        hint = "Perhaps another Hibari runs: choose another with --port."
        return InvalidRequest(f"{port} is in use at {host}.", option="port", hint=hint)
    if error.errno == errno.EACCES:
        return InvalidRequest(f"{port} is not for you to take.", option="port", hint="Choose one from 1024 on.")
    return InvalidRequest(
        f"{host} cannot be listened at ({error.strerror}).",
        option="host",
        hint="Give an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
    )


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
