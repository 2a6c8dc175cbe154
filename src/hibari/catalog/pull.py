"""Bring a published model into the data folder, whole or not at all.

What is under way lies in a hidden folder beside the models, where no verb sees a model, and a second call goes on with
it. The licence comes first, then room on the disk, then file after file, each held to its checksum; then the folder is
opened as any model is, and only a whole one gets its name.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hibari.catalog import hub
from hibari.catalog.folder import open_folder
from hibari.catalog.licence import NOT_STATED, check_licence, stated_licence
from hibari.catalog.published import PATTERNS, Layout, Published
from hibari.catalog.pulled import FILE, Pulled
from hibari.config import Settings
from hibari.errors import BadWeights, InvalidRequest, LicenceNotAllowed, OutputError
from hibari.media.files import file_sha256, output_error
from hibari.wan_layout import is_original

SPARE_BYTES = 1 << 30  # of the disk, which is to have room for the database and a few videos beside the weights
_PIECE = 1 << 22


@dataclass(frozen=True)
class Step:
    """What a pull is about to do: file `number` of `count`, and its size."""

    path: str
    number: int
    count: int
    bytes: int


def pull(
    model: Published,
    settings: Settings,
    *,
    layout: Layout,
    accepted: str | None = None,
    on_licence: Callable[[str], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Path:
    """Bring a published model from the hub; its folder. `accepted` names a licence that the caller accepts.

    Raises LicenceNotAllowed, OutputError (no room), and BadWeights for what the hub does not give whole.
    """
    target = _free_place(model, settings)
    repository = hub.look_up(model.repositories[layout], PATTERNS[layout])
    licence = repository.licence or model.licence
    _check_licence(model.name, licence, settings, accepted, on_licence)
    with _alone(target) as partial:
        needed = sum(max(0, file.bytes - _bytes_there(file, partial)) for file in repository.files)
        _check_room(model.name, needed, settings)
        for number, file in enumerate(repository.files, 1):
            if on_step is not None:
                on_step(Step(file.path, number, len(repository.files), file.bytes))
            _fetch(repository, file, partial)
        record = Pulled(
            name=model.name,
            layout=layout,
            source=repository.name,
            revision=repository.revision,
            licence=licence,
            accepted=accepted is not None,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            files={file.path: file.checksum for file in repository.files},
        )
        return _finish(model, partial, target, record)


def take(
    model: Published,
    source: Path,
    settings: Settings,
    *,
    accepted: str | None = None,
    on_licence: Callable[[str], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Path:
    """Bring a published model from a folder, linked where the disk is the same and else copied; its folder here.

    Raises BadWeights where the folder is not that model or not whole, and what `pull` raises.
    """
    target = _free_place(model, settings)
    try:
        found = open_folder(source, model.name)
    except BadWeights as error:
        raise BadWeights(error.message, option="source", hint=error.hint) from error
    if found.published != model:
        what = found.published.name if found.published else f"a {found.form.pipeline} of another architecture"
        raise BadWeights(f"{source}: holds {what}, not {model.name}.", option="source")
    stated = stated_licence(source)
    licence = model.licence if stated == NOT_STATED else stated
    _check_licence(model.name, licence, settings, accepted, on_licence)
    layout: Layout = "original" if is_original(source) else "diffusers"
    files = sorted({path for pattern in PATTERNS[layout] for path in source.glob(pattern) if path.is_file()})
    paths = [str(path.relative_to(source)) for path in files]
    with _alone(target) as partial:
        missing = [path for path in files if not _is_same(path, partial / path.relative_to(source))]
        links = bool(missing) and _can_link(missing[0], partial)
        _check_room(model.name, 0 if links else sum(path.stat().st_size for path in missing), settings)
        for number, path in enumerate(missing, 1):
            if on_step is not None:
                on_step(Step(str(path.relative_to(source)), number, len(missing), path.stat().st_size))
            _bring(path, partial / path.relative_to(source))
        record = Pulled(
            name=model.name,
            layout=layout,
            source=str(source.absolute()),
            revision="unknown",
            licence=licence,
            accepted=accepted is not None,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            files={path: f"sha256:{file_sha256(partial / path)}" for path in paths},
        )
        return _finish(model, partial, target, record)


def _free_place(model: Published, settings: Settings) -> Path:
    """Where the model is to lie; raises InvalidRequest where something of that name is."""
    target = settings.models_folder / model.name
    _check_absent(target)
    return target


def _check_absent(target: Path) -> None:
    if target.exists():
        raise InvalidRequest(
            f"{target.name} is here already, in {target}.", option="name", hint="Delete it to pull it anew."
        )


@contextmanager
def _alone(target: Path) -> Iterator[Path]:
    """The hidden folder in which a model comes together, made, and this process's while the block runs.

    What the disk refuses in the block is an OutputError.
    """
    partial = target.with_name(f".{target.name}.part")
    try:
        partial.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(partial, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{partial}: cannot be created ({error.strerror}).", option="home") from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidRequest(f"{target.name} is on its way here already.", option="name") from error
        if target.exists():  # another has finished it since, and given this very folder its name
            with suppress(OSError):
                partial.rmdir()
        _check_absent(target)
        yield partial
    except OSError as error:
        raise output_error(Path(error.filename or partial), error) from error
    finally:
        os.close(held)


def _check_licence(
    name: str, licence: str, settings: Settings, accepted: str | None, on_licence: Callable[[str], None] | None
) -> None:
    if accepted is not None and accepted.lower() != licence.lower():
        raise LicenceNotAllowed(f"{name} is under {licence}, not under {accepted}.", option="accept_licence")
    check_licence(name, licence, settings, accepted=accepted is not None)
    if on_licence is not None:
        on_licence(licence)


def _check_room(name: str, needed: int, settings: Settings) -> None:
    """Raise OutputError where the disk has not that much room and a little more."""
    free = shutil.disk_usage(settings.models_folder).free
    lacks = needed + SPARE_BYTES - free
    if needed > 0 and lacks > 0:
        raise OutputError(
            f"{name} needs {_gb(needed)} more and {_gb(SPARE_BYTES)} to spare, and {settings.models_folder} has "
            f"{_gb(free)} free: {_gb(lacks)} are missing.",
            option="home",
            hint="Make room, or give another data folder.",
        )


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _coming(file: hub.RemoteFile, partial: Path) -> Path:
    """Where a file lies until it is whole; named by its checksum, so that no other revision's beginning is used."""
    place = partial / file.path
    return place.with_name(f".{place.name}.{file.checksum.partition(':')[2][:16]}.part")


def _bytes_there(file: hub.RemoteFile, partial: Path) -> int:
    """How much of a file is there."""
    places = (partial / file.path, _coming(file, partial))
    return next((place.stat().st_size for place in places if place.is_file()), 0)


def _fetch(repository: hub.Repository, file: hub.RemoteFile, partial: Path) -> None:
    """Bring one file of a repository, unless it is there with the right checksum; raises BadWeights."""
    place = partial / file.path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_file() and _has_checksum(place, file.checksum):
        return
    coming = _coming(file, partial)
    hub.download(repository, file, coming)
    if not _has_checksum(coming, file.checksum):
        coming.unlink()
        raise BadWeights(
            f"{repository.name}: {file.path} came with a wrong checksum, and was thrown away.",
            option="name",
            hint="The same command takes it again.",
        )
    coming.replace(place)


def _has_checksum(path: Path, checksum: str) -> bool:
    kind, _, wanted = checksum.partition(":")
    if kind == "sha256":
        return file_sha256(path) == wanted
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)  # as git names its objects
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest() == wanted


def _can_link(path: Path, partial: Path) -> bool:
    """Whether a file can be linked there: not from another disk, and not on one without links."""
    probe = partial / ".link"
    try:
        probe.unlink(missing_ok=True)
        os.link(path.resolve(), probe)
        probe.unlink()
    except OSError:
        return False
    return True


def _is_same(path: Path, copy: Path) -> bool:
    """Whether a copy of a file is there and whole: linked, or of its size and time, which come last."""
    if not copy.is_file():
        return False
    one, other = path.stat(), copy.stat()
    return path.samefile(copy) or (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _bring(path: Path, place: Path) -> None:
    """Link a file where that can be, and copy it elsewhere; raises OSError."""
    coming = place.with_name(f".{place.name}.part")
    place.parent.mkdir(parents=True, exist_ok=True)
    coming.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), coming)
    except OSError:  # another disk, or one without links
        shutil.copy2(path, coming)
    coming.replace(place)


def _finish(model: Published, partial: Path, target: Path, record: Pulled) -> Path:
    """Throw away what does not belong to the model, open it as any other, and give it its name; raises BadWeights."""
    keep: Mapping[str, str] = record.files
    for path in partial.rglob("*"):
        if path.is_file() and str(path.relative_to(partial)) not in keep:
            path.unlink()
    record.write(partial)
    try:
        found = open_folder(partial, model.name)
        if found.published != model:
            raise BadWeights(f"{record.source}: not the model that it is known as.", option="name")
        partial.rename(target)
    except BadWeights:
        (partial / FILE).unlink()
        raise
    return target
