"""What the verbs about access share: the open rooms, who sits at the command line, and a note of what they do."""

from dataclasses import dataclass
from pathlib import Path

from hibari.access import Actor, Audit, Decision, Keys, Resource, Users
from hibari.config import Settings
from hibari.provenance.places import ledger_url
from hibari.store import Store
from hibari.store.pseudonyms import LOCAL


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The access rooms of an installation, and the person at its command line, who may do anything."""

    settings: Settings
    store: Store
    actor: Actor

    @property
    def users(self) -> Users:
        """The users."""
        return Users(self.store)

    @property
    def keys(self) -> Keys:
        """The keys."""
        return Keys(self.store)

    @property
    def audit(self) -> Audit:
        """The audit log."""
        return Audit(self.store)

    def note(self, resource: Resource, what: str) -> None:
        """Write into the audit log what is about to be done to a user or a key; raises StoreError."""
        decision = Decision(allowed=True, reason=f"at the command line: {what}")
        self.audit.write(self.actor, "user.manage", resource, decision)


def user_named(name: str) -> Resource:
    """A user, as something that is acted on."""
    return Resource(kind="user", owner=name, id=name)


def open_desk(home: Path | None) -> Desk:
    """The desk of the data folder that is meant; raises InvalidRequest, OutputError, StoreError."""
    settings = Settings.load(home=home)
    settings.ensure_home()
    store = Store.open(ledger_url(settings))
    return Desk(settings=settings, store=store, actor=Actor(user=LOCAL + settings.who, role="admin"))
