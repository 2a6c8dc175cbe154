"""One house, one set of secrets: what marks and signs here is noted in the database, so that a stranger is noticed.

Several machines may share a database. One that would mark with a key of its own making, or sign as somebody whom the
others do not know, would make files that they cannot prove: it refuses instead. The first to use a secret notes it,
by a digest that gives nothing away; there is no secret in the database. Verifying asks nothing of this.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from hibari.config import Settings
from hibari.errors import InvalidRequest, WrongSecrets
from hibari.provenance.credentials import anchors
from hibari.provenance.credentials.anchors import fingerprint
from hibari.provenance.credentials.authority import Authority
from hibari.provenance.credentials.configured import authority_of
from hibari.provenance.places import CREDENTIALS, KEYS
from hibari.provenance.watermark.keys import KeyRing, WatermarkKey, month_of
from hibari.store import Store, tables

WATERMARK, SIGNER = "watermark", "signer"
_LOST = "If it is lost for good, `hibari secrets forget` says what to do."


@dataclass(frozen=True, kw_only=True)
class House:
    """The secrets of this machine, held against those that its database has noted."""

    store: Store
    keys: KeyRing
    authority: Authority

    def join(self) -> None:
        """Make what the house has not, and note what is new; raises WrongSecrets where this is no machine of it."""
        self.check_signers()  # before anything is made here, which would be a stranger's
        digest = fingerprint(self.authority.credential().anchor)
        name = f"{SIGNER} {digest[:16]}"
        if name not in self.noted():
            self._note(name, digest)
        self.current_key()

    def check(self) -> None:
        """Raise WrongSecrets where `join` would, and make nothing."""
        self.check_signers()
        self._kept_key(month_of())

    def current_key(self, now: datetime | None = None) -> WatermarkKey:
        """The watermark key of this month, which is the house's; raises WrongSecrets, and what reading it raises."""
        month = month_of(now)
        kept = self._kept_key(month)
        if kept is not None:
            return kept
        key = self.keys.current(now)
        name = f"{WATERMARK} {month}"
        if self._note(name, _digest(key)) != _digest(key):
            raise self._another(month)
        return key

    def _kept_key(self, month: str) -> WatermarkKey | None:
        """The key that the house has noted for a month, None where it noted none; raises WrongSecrets."""
        name = f"{WATERMARK} {month}"
        noted = self.noted().get(name)
        if noted is None:
            return None
        key = self.keys.find(month)
        if key is None:
            raise WrongSecrets(f"The house marks with a key of {month} that is not here.", hint=self.advice(name))
        if _digest(key) != noted:
            raise self._another(month)
        return key

    def _another(self, month: str) -> WrongSecrets:
        return WrongSecrets(
            f"The watermark key of {month} is not the one that the house marks with.",
            hint=self.advice(f"{WATERMARK} {month}"),
        )

    def check_signers(self) -> None:
        """Raise WrongSecrets unless this machine knows everybody who signs in the house.

        Who knows them all may bring a new one: so a certificate is renewed on one machine, and then copied.
        """
        noted = {digest for name, digest in self.noted().items() if name.startswith(SIGNER)}
        if strange := sorted(noted - anchors.fingerprints(self.authority.folder)):
            raise WrongSecrets(
                f"The house signs with a certificate that is not known here ({strange[0][:16]}…).",
                hint=self.advice(SIGNER),
            )

    def noted(self) -> Mapping[str, str]:
        """Digests of the house's secrets by name."""
        table = tables.house_secrets
        with self.store.reading() as connection:
            return {row.name: row.sha256 for row in connection.execute(select(table).order_by(table.c.name))}

    def is_here(self, name: str, digest: str) -> bool:
        """Whether a noted secret is on this machine, and the same."""
        kind, _, rest = name.partition(" ")
        if kind == SIGNER:
            return digest in anchors.fingerprints(self.authority.folder)
        key = self.keys.find(rest)
        return key is not None and _digest(key) == digest

    def advice(self, name: str) -> str:
        """What to do about a noted secret that is not here, or is another."""
        kind, _, month = name.partition(" ")
        what = f"the folder {CREDENTIALS}" if kind == SIGNER else f"{KEYS}/{month}.key"
        home = self.keys.folder.parent
        return f"Copy {what} into {home} from another of the house's machines, or from a backup. {_LOST}"

    def check_noted(self, name: str) -> None:
        """Raise InvalidRequest for a name that no secret is noted by."""
        if name not in self.noted():
            raise InvalidRequest(f"{name!r} is not noted.", option="name", hint="`hibari secrets list` says what is.")

    def forget(self, name: str) -> None:
        """Take a note back, so that machines may go on without that secret; raises InvalidRequest."""
        self.check_noted(name)
        table = tables.house_secrets
        with self.store.writing() as connection:
            connection.execute(delete(table).where(table.c.name == name))

    def _note(self, name: str, digest: str) -> str:
        """Note a secret, unless another machine was first; what is noted now."""
        table = tables.house_secrets
        row = {"name": name, "sha256": digest, "noted_at": datetime.now(UTC)}
        with self.store.writing() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(table).values(row))
            except IntegrityError:
                return str(connection.execute(select(table.c.sha256).where(table.c.name == name)).scalar_one())
        return digest


def house_of(settings: Settings, store: Store) -> House:
    """The secrets in a data folder, beside the notes of a database; raises Refused for keys open to others."""
    return House(store=store, keys=KeyRing.open(settings.home / KEYS), authority=authority_of(settings))


def _digest(key: WatermarkKey) -> str:
    return hashlib.sha256(f"hibari {WATERMARK} {key.name} ".encode() + key.secret).hexdigest()
