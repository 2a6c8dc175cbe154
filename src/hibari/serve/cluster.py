"""`hibari cluster`: a service's workers as Ray actors, one for each share of a node's cores or accelerators. No torch.

Ray places them, and starts them again elsewhere when their node dies. It does no more: which job is whose is the
queue's business, so what a dead node was making is claimed again when its lease is over.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from threading import Event
from types import ModuleType
from typing import Any

from hibari.config import Settings
from hibari.errors import HibariError, InvalidRequest, MissingDependency, install
from hibari.serve.journal import write_journal
from hibari.serve.pipes import decode_settings, encode_settings
from hibari.serve.work.worker import stop_on_signals, work

FAREWELL_S = 30.0  # more than a worker's own
AGAIN_S = 10.0  # after which a worker that could not start is asked again
_LOOK_S = 0.5
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Share:
    """What of a node one worker takes: processor cores, and accelerators (or a part of one)."""

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cpus", "gpus"):
            if getattr(self, name) < 0:
                raise InvalidRequest(f"{getattr(self, name):g} is not allowed.", option=name, hint="Give 0 or more.")


class Member:
    """An actor: one worker, in whatever process Ray gave it."""

    def __init__(self) -> None:
        self._stop = Event()

    def work(self, settings: bytes, models: Collection[str] | None) -> str:
        """Work off the queue until asked to stop; why it could not, or nothing. Ray calls again where a node died."""
        own = decode_settings(settings)
        write_journal(own.service.log)
        try:
            work(own, stop=self._stop, models=models)
        except HibariError as error:  # as words, since the driver's side has to read it whatever it is
            return str(error) or type(error).__name__
        return ""

    def stop(self) -> None:
        """Finish what is made, or give it back."""
        self._stop.set()


def run_cluster(
    settings: Settings, *, address: str, workers: int, share: Share, models: Collection[str] | None = None
) -> None:
    """Keep so many workers in a Ray cluster that runs already, until SIGTERM or SIGINT.

    Settings are this machine's, the data folder's path included; S3's keys are each node's own. Raises
    MissingDependency without Ray, and InvalidRequest where no cluster answers at the address.
    """
    if workers < 1:
        raise InvalidRequest(f"{workers} is not allowed.", option="workers", hint="Give 1 or more.")
    ray = _ray()
    try:
        ray.init(address=address, namespace="hibari", logging_level="WARNING")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InvalidRequest(
            f"No Ray cluster answers at {address!r}.", option="address", hint="`ray start --head` makes one."
        ) from error
    try:
        stop = stop_on_signals()  # after Ray has taken the signals for itself
        own = settings if settings.threads else replace(settings, threads=max(1, int(share.cpus)))
        _keep(ray, [_member(ray, share) for _ in range(workers)], own, models, stop)
    finally:
        ray.shutdown()


def _member(ray: ModuleType, share: Share) -> Any:
    """A new actor, which Ray starts again for ever, and calls again what it was doing."""
    options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": -1, "max_task_retries": -1}
    # Two calls at once: `stop` has to be heard during `work`.
    return ray.remote(max_concurrency=2, **options)(Member).remote()


def _keep(ray: ModuleType, members: list[Any], settings: Settings, models: Collection[str] | None, stop: Event) -> None:
    """Have every member work until `stop` is set, and then go in order."""
    line, named = encode_settings(settings), list(models) if models is not None else None
    works = {member.work.remote(line, named): member for member in members}
    again: dict[Any, float] = {}
    _LOG.info("%d workers are asked for", len(members))
    while not stop.is_set():
        ended, _ = ray.wait(list(works), timeout=_LOOK_S) if works else ((), ())
        for each in ended:
            again[works.pop(each)] = time.monotonic() + AGAIN_S
            _LOG.warning("a worker ended: %s", _last_word(ray, each))
        for member in [member for member, at in again.items() if time.monotonic() > at]:
            del again[member]
            works[member.work.remote(line, named)] = member
        if not works:
            stop.wait(_LOOK_S)
    farewells = [member.stop.remote() for member in members]
    ray.wait([*farewells, *works], num_returns=len(farewells) + len(works), timeout=FAREWELL_S)
    for member in members:
        ray.kill(member)


def _last_word(ray: ModuleType, work: Any) -> str:
    """Why a worker ended, whatever it was: a fault that nobody foresaw ends one worker, and not the others."""
    try:
        return str(ray.get(work) or "it was stopped")
    except ray.exceptions.RayError as error:  # its text is a whole traceback, whose last line says what it was
        return (str(error).strip() or type(error).__name__).splitlines()[-1]


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise MissingDependency("Workers in a cluster need Ray.", hint=install("cluster")) from error
    module: ModuleType = ray
    return module
