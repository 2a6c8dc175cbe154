"""The reviewer's desk: what the safety policy held is let through or turned down, once, by someone who may.

A held request that is allowed is made by the road like any other: its decision, the record and the file's name stand
together or not at all. A held file that is allowed is handed over byte for byte, after its decision is written; one
that is refused is deleted after it. Whatever stops between two of these steps, nothing leaves undecided or is lost.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from hibari import catalog
from hibari.access import Actor, Decision, Resource
from hibari.access.audit import append
from hibari.config import Settings, operator
from hibari.errors import InvalidRequest, OutputError, Refused
from hibari.media.files import beside, check_writable, file_sha256
from hibari.media.suffixes import format_of
from hibari.produce.passage import Allowance
from hibari.produce.progress import OnProgress
from hibari.produce.record import Record
from hibari.produce.replay import asked_again
from hibari.produce.road import Hibari
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldFiles, HeldItem, Ledger, Reviews, Ruling
from hibari.provenance.places import INDEX, ledger_url
from hibari.request import GenerationRequest
from hibari.store import Store
from hibari.store.pseudonyms import LOCAL


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Whether someone may decide an item, and why."""

    granted: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Released:
    """An allowed item's file. `record` is of what was made for it now, None for a file that had waited.

    `path` None: it goes back to its video in the service, which a worker sees to.
    """

    item: HeldItem
    path: Path | None
    record: Record | None = None


class ReviewDesk:
    """The held items of a data folder, as its user meets them."""

    def __init__(self, settings: Settings) -> None:
        """Open the ledger of these settings; raises HibariError. The model is loaded once a request is allowed."""
        home, store = settings.ensure_home(), Store.open(ledger_url(settings))
        self.settings = settings
        self.user = settings.who
        self.files = HeldFiles(home)
        self._store, self._reviews = store, Reviews(store)
        self._ledger = Ledger(store, home / INDEX)

    def waiting(self, limit: int = 100) -> list[HeldItem]:
        """What waits, oldest first: everything for a reviewer, and for others what they asked for themselves."""
        everything = _is_reviewer(self.user, self.settings.reviewer_names).granted
        return self._reviews.waiting(limit, None if everything else self.user)

    def find(self, id: GenerationId) -> HeldItem:
        """The item of that id; raises InvalidRequest where there is none that this user may see."""
        item = self._reviews.find(id)
        if item is None or not (
            item.user == self.user or _is_reviewer(self.user, self.settings.reviewer_names).granted
        ):
            raise InvalidRequest(f"{id} is not held.", option="id", hint="`hibari review list` shows what is.")
        return item

    def permission(self, item: HeldItem) -> Permission:
        """Whether this user may decide an item."""
        return permission(self.user, item.user, self.settings.reviewer_names)

    def allow(
        self,
        id: GenerationId,
        note: str,
        *,
        output: Path | None = None,
        on_progress: OnProgress | None = None,
    ) -> Released:
        """Let an item through: make the held request, or hand over the held file, to `output` or as it was asked.

        Raises Refused where this user may not, InvalidRequest where it was decided already, Held where the frames of
        an allowed request are held, and what the road raises. A file that was allowed and could not be handed over
        then is handed over now. What a video of the service waits for goes back to it.
        """
        item, ruling = self._to_decide(id), Ruling(decision="allowed", reviewer=self.user, note=note)
        if item.video is not None:
            if output is not None:
                raise InvalidRequest(f"{id} goes back to {item.video}, and into no other file.", option="output")
            return Released(item=self._reviews.decide(id, ruling, self._noting(item, "allowed")), path=None)
        if item.file is not None:
            with self.files.taken(item.file) as is_there:
                return self._hand_over(self.find(id), ruling, output, is_there=is_there)
        self._must_wait(item)
        with self._store.writing() as connection:  # before it is made, since nothing is to be done unrecorded
            self._noting(item, "allowed")(connection)
        maker, target = Hibari(self.settings), _target(item, output)
        record = maker.make_allowed(Allowance(item=item, ruling=ruling), output=target, on_progress=on_progress)
        return Released(item=self.find(id), path=record.path, record=record)

    def refuse(self, id: GenerationId, note: str) -> HeldItem:
        """Turn an item down, and delete its file; raises Refused where this user may not, InvalidRequest."""
        also = self._noting(self._to_decide(id), "refused")
        item = self._reviews.decide(id, Ruling(decision="refused", reviewer=self.user, note=note), also)
        if item.file is not None and item.video is None:
            self.files.remove([item.file])
        return item

    def file_of(self, item: HeldItem) -> str:
        """Where the file of an item lies, for a person to look at it; empty where there is none."""
        if item.file is None:
            return ""
        place = self.settings.service.files or self.settings.home / "files"
        return f"{place}/{item.file}" if item.video is not None else str(self.files.place(item.file))

    def _noting(self, item: HeldItem, what: str) -> Callable[[Connection], None]:
        """What writes a decision into the audit log, in its transaction."""

        def note(connection: Connection) -> None:
            actor = Actor(user=LOCAL + self.user, role="reviewer")
            resource = Resource(kind="review", owner=item.user, id=str(item.id))
            append(connection, actor, "review.decide", resource, Decision(allowed=True, reason=what))

        return note

    def _to_decide(self, id: GenerationId) -> HeldItem:
        self.files.tidy(self._ledger)  # what a crash left after a decision like the one that comes now
        item = self.find(id)
        answer = self.permission(item)
        if not answer.granted:
            raise Refused(
                f"{self.user} may not decide {id}: {answer.reason}.",
                option="reviewers",
                hint="Ask a reviewer to; the operator names them in the setting reviewers.",
            )
        return item

    def _must_wait(self, item: HeldItem) -> None:
        if item.state != "waiting":
            raise self._reviews.undecidable(item.id)

    def _hand_over(self, item: HeldItem, ruling: Ruling, output: Path | None, *, is_there: bool) -> Released:
        """Copy the held file to its place, byte for byte, and decide before the copy appears there."""
        assert item.file is not None
        held = self.files.place(item.file)
        if item.state != "allowed" or not is_there:
            self._must_wait(item)
        entry = self._ledger.find(item.id)
        assert entry is not None, "a held file is recorded"
        target = _target(item, output)
        if format_of(target).mime != entry.delivery.mime:
            raise InvalidRequest(
                f"{target.name} does not fit: the file is {entry.delivery.mime}, and stays as it was signed.",
                option="output",
                hint=f"Give a {held.suffix} file.",
            )
        check_writable(target)
        with beside(target) as partial:
            _copy(held, partial, entry.delivery.file_sha256)
            if item.state == "waiting":
                item = self._reviews.decide(item.id, ruling, self._noting(item, "allowed"))
        self.files.remove([item.file or ""])
        return Released(item=item, path=target)


def permission(user: str, owner: str, reviewers: tuple[str, ...]) -> Permission:
    """Whether `user` may decide what `owner` asked for: no, unless a rule says yes."""
    role = _is_reviewer(user, reviewers)
    if role.granted and user == owner and len(set(reviewers)) > 1:
        return Permission(granted=False, reason="nobody decides their own request where there is another reviewer")
    return role


def request_of_held(item: HeldItem, settings: Settings) -> GenerationRequest:
    """The request that an item holds; raises InvalidRequest where one of its files is gone or another by now."""
    model: Any = item.request["model"]
    if catalog.find(settings.model, settings).name == model:
        model = None  # the model of the settings, which may lie in a folder that no name leads to
    return asked_again(item.id, item.request, model, item.request["sources_sha256"])


def replay_of(item: HeldItem) -> GenerationId | None:
    """The generation that an item asks to replay."""
    text = item.request["replay_of"]
    return GenerationId.parse(text) if text is not None else None


def _is_reviewer(user: str, reviewers: tuple[str, ...]) -> Permission:
    if user in reviewers:
        alone = len(set(reviewers)) == 1
        return Permission(granted=True, reason=f"{user} is {'the only' if alone else 'a'} reviewer")
    if reviewers:
        return Permission(granted=False, reason=f"{user} is not a reviewer; those are {', '.join(reviewers)}")
    if user == operator():
        return Permission(granted=True, reason=f"no reviewers are named, and {user} runs this machine")
    return Permission(
        granted=False, reason=f"no reviewers are named, and {user} is not {operator()}, who runs this machine"
    )


def _target(item: HeldItem, output: Path | None) -> Path:
    """The place asked for, or the name that the item's person had given, in this folder, where nothing has it yet."""
    if output is not None:
        return output.expanduser()
    target = Path(item.request["output"])
    if target.exists():
        raise InvalidRequest(f"{target} exists already.", option="output", hint="Name another file with -o.")
    return target


def _copy(held: Path, partial: Path, sha256: str) -> None:
    """Copy a held file, and see that it is what was signed; raises OutputError."""
    try:
        shutil.copyfile(held, partial)
    except FileNotFoundError as error:
        raise OutputError(
            f"{held} is gone, so there is nothing to hand over.", option="id", hint="Refuse it, and have it made anew."
        ) from error
    if file_sha256(partial) != sha256:
        raise OutputError(
            f"{held} is not the file that was signed.", option="id", hint="Refuse it, and have it made anew."
        )
