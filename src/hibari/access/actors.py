"""Who can ask: users with a role and limits of their own, and the actor that a request comes from.

What a role may do is `rules`' to say; keys and sign-ins elsewhere (`keys`, `oidc`) lead to the users of this file.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, cast, get_args

from sqlalchemy import Connection, Row, insert, select, update

from hibari.errors import InvalidRequest
from hibari.store import Store, tables

Role = Literal["admin", "creator", "viewer", "reviewer", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")  # no colon: that sets apart who signs in elsewhere
ELSEWHERE = "oidc:"
MAX_PRIORITY = 100


@dataclass(frozen=True, kw_only=True)
class UserLimits:
    """A user's own limits; None where the service's hold. A higher `priority` goes first. Raises InvalidRequest."""

    seconds_a_day: float | None = None
    jobs_at_once: int | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        seconds, jobs = self.seconds_a_day, self.jobs_at_once
        if seconds is not None and not (seconds >= 0 and math.isfinite(seconds)):
            raise InvalidRequest(f"{seconds:g} seconds a day is no limit.", hint="Give 0 or more.")
        if jobs is not None and jobs < 0:
            raise InvalidRequest(f"{jobs} jobs at once is no limit.", hint="Give 0 or more.")
        if abs(self.priority) > MAX_PRIORITY:
            raise InvalidRequest(
                f"{self.priority} is not allowed.", option="priority", hint=f"Give -{MAX_PRIORITY} to {MAX_PRIORITY}."
            )


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Whoever asks. `scopes` are the only actions that their key is for; None: whatever their role may."""

    user: str
    role: Role | Literal["stranger"]
    key_id: str | None = None
    scopes: frozenset[str] | None = None
    limits: UserLimits = field(default_factory=UserLimits)


STRANGER = Actor(user="(stranger)", role="stranger")
"""Who shows no key: they may ask where a file comes from, where the operator allows it (the caller checks that)."""


@dataclass(frozen=True, kw_only=True)
class User:
    """A user as recorded. `subject` is "issuer subject" of who signs in elsewhere."""

    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    subject: str | None
    limits: UserLimits

    @property
    def disabled(self) -> bool:
        """Whether they may do nothing at all."""
        return self.disabled_at is not None

    def as_dict(self) -> dict[str, Any]:
        """The user as plain values, for JSON."""
        disabled_at = self.disabled_at.isoformat() if self.disabled_at else None
        moments = {"created_at": self.created_at.isoformat(), "disabled_at": disabled_at}
        return vars(self) | moments | {"limits": vars(self.limits)}


class Users:
    """The users of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, name: str, role: str) -> User:
        """Make a user; raises InvalidRequest for a bad name or role, and for a name that is taken; StoreError."""
        with self.store.writing() as connection:
            if _find(connection, _checked_name(name)) is not None:
                raise InvalidRequest(f"{name} is a user already.", hint="`hibari users list` shows them.")
            return _insert(connection, name, _checked_role(role))

    def ensure(self, name: str, role: str | None) -> User:
        """The user of that name, made where there is none; raises InvalidRequest where their role is another."""
        with self.store.writing() as connection:
            user = _find(connection, name)
            if user is None and role is None:
                raise InvalidRequest(f"{name} is a new user.", option="role", hint=f"Give one of {', '.join(ROLES)}.")
            if user is None:
                return _insert(connection, _checked_name(name), _checked_role(role))
        if role is not None and user.role != _checked_role(role):
            raise InvalidRequest(
                f"{name} is {user.role}, not {role}.",
                option="role",
                hint=f"`hibari users role {name} {role}` changes it.",
            )
        return user

    def sign_in(
        self, subject: str, preferred: str, role: Role | None, note: Callable[[Connection, User], None]
    ) -> User:
        """The user of that subject, made at first sight as viewer; a stated role is theirs from now on.

        They are named by the `preferred` name where it is fit and free, and never take over a user who has keys here.
        `note` is told, in the same transaction, of a user who was made or changed. Raises StoreError.
        """
        with self.store.reading() as connection:
            user = _find_subject(connection, subject)
        if user is not None and role in (None, user.role):
            return user
        with self.store.writing() as connection:
            user = _find_subject(connection, subject)
            if user is None:
                name = ELSEWHERE + preferred
                if not NAME.fullmatch(preferred) or _find(connection, name) is not None:
                    name = ELSEWHERE + sha256(subject.encode()).hexdigest()[:32]
                user = _insert(connection, name, role or "viewer", subject)
            else:
                user = _change(connection, user.name, role=role or user.role)
            note(connection, user)
            return user

    def find(self, name: str) -> User | None:
        """The user of that name; raises StoreError."""
        with self.store.reading() as connection:
            return _find(connection, name)

    def list(self) -> list[User]:
        """Every user, by name; raises StoreError."""
        with self.store.reading() as connection:
            return [user_of(row) for row in connection.execute(select(tables.users).order_by(tables.users.c.name))]

    def set_role(self, name: str, role: str) -> User:
        """Give a user another role; raises InvalidRequest, StoreError."""
        return self._set(name, role=_checked_role(role))

    def set_limits(self, name: str, limits: UserLimits) -> User:
        """Give a user these limits in place of all that they had; raises InvalidRequest, StoreError."""
        return self._set(name, **vars(limits))

    def disable(self, name: str) -> User:
        """Shut a user out, keys and all, from now on; raises InvalidRequest, StoreError."""
        return self._set(name, disabled_at=datetime.now(UTC))

    def enable(self, name: str) -> User:
        """Let a user in again; raises InvalidRequest, StoreError."""
        return self._set(name, disabled_at=None)

    def _set(self, name: str, **values: Any) -> User:
        with self.store.writing() as connection:
            if _find(connection, name) is None:
                raise InvalidRequest(f"{name!r} is no user here.", hint="`hibari users list` shows them.")
            return _change(connection, name, **values)


def user_of(row: Row[Any]) -> User:
    """A row that has the columns of `users` as a record."""
    limits = UserLimits(seconds_a_day=row.seconds_a_day, jobs_at_once=row.jobs_at_once, priority=row.priority)
    return User(
        name=row.name,
        role=cast(Role, row.role),  # one that is none has no rule and so no right
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        subject=row.subject,
        limits=limits,
    )


def _find(connection: Connection, name: str) -> User | None:
    row = connection.execute(select(tables.users).where(tables.users.c.name == name)).first()
    return user_of(row) if row is not None else None


def _find_subject(connection: Connection, subject: str) -> User | None:
    row = connection.execute(select(tables.users).where(tables.users.c.subject == subject)).first()
    return user_of(row) if row is not None else None


def _insert(connection: Connection, name: str, role: Role, subject: str | None = None) -> User:
    values = {"name": name, "role": role, "created_at": datetime.now(UTC), "subject": subject, "priority": 0}
    return user_of(connection.execute(insert(tables.users).values(values).returning(tables.users)).one())


def _change(connection: Connection, name: str, **values: Any) -> User:
    change = update(tables.users).where(tables.users.c.name == name).values(values)
    return user_of(connection.execute(change.returning(tables.users)).one())


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} is no name for a user.", hint="Give 1 to 64 of A-Z a-z 0-9 . _ @ + -, a letter or digit first."
        )
    return name


def _checked_role(role: str | None) -> Role:
    if role not in ROLES:
        raise InvalidRequest(f"{role!r} is not a role.", option="role", hint=f"Allowed: {', '.join(ROLES)}.")
    return role
