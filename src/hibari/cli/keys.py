"""`hibari keys`: make, list and revoke API keys. A key is shown once, when it is made."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from hibari.cli.options import Home, Json, new_app
from hibari.errors import InvalidRequest

if TYPE_CHECKING:
    from hibari.access import KeyRecord

app = new_app()
MAX_DAYS = 36_500


@app.callback()
def keys() -> None:
    """API keys: make one, list them, revoke one."""


@app.command()
def create(
    user: Annotated[str | None, typer.Option(help="Whose key; a new name makes the user.", metavar="NAME")] = None,
    role: Annotated[
        str | None, typer.Option(help="A new user's role: admin, creator, viewer, reviewer or auditor.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="An action that the key is for, such as video.read; once for each.")
    ] = None,
    expires_days: Annotated[float | None, typer.Option(help="For how many days the key holds.", metavar="N")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but the key.")] = False,
    home: Home = None,
) -> int:
    """Make a key, and its user where the name is new; the key is all that is on standard output."""
    from hibari.access.keys import check_scopes
    from hibari.cli.desk import open_desk, user_named

    if user is None:
        raise InvalidRequest("Whose key is it to be?", hint="Add --user NAME.")
    if expires_days is not None and not 0 < expires_days <= MAX_DAYS:
        raise InvalidRequest(f"{expires_days:g} is not allowed.", option="expires_days", hint="Give 1 to 36500 days.")
    until = datetime.now(UTC) + timedelta(days=expires_days) if expires_days is not None else None
    check_scopes(scope)
    desk = open_desk(home)
    desk.note(user_named(user), "a new key")
    owner = desk.users.ensure(user, role)
    token, record = desk.keys.create(owner.name, scopes=scope, expires_at=until)
    print(token)
    if not quiet:
        words = f"{record.id} of {owner.name} ({owner.role}), {_until(record)}"
        print(f"hibari: {words}. The key is shown this once: keep it.", file=sys.stderr)
    return 0


@app.command("list")
def list_keys(
    user: Annotated[str | None, typer.Option(help="Of this user alone.")] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Every key, the oldest first; of the keys themselves only their ends are kept."""
    from hibari.cli.desk import open_desk

    for record in open_desk(home).keys.list(user):
        print(json.dumps(record.as_dict()) if as_json else _line(record))
    return 0


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="An id such as key_0f…, as `hibari keys list` shows it.", metavar="ID")],
    home: Home = None,
) -> int:
    """Make a key useless, for good and within 5 seconds."""
    from hibari.access import Resource
    from hibari.cli.desk import open_desk

    desk = open_desk(home)
    desk.note(Resource(kind="key", id=id), "revoked")
    record = desk.keys.revoke(id)
    print(f"hibari: {record.id} of {record.user} opens nothing any more.", file=sys.stderr)
    return 0


def _line(record: "KeyRecord") -> str:
    used = f"used {record.last_used_at:%Y-%m-%d %H:%M}" if record.last_used_at else "never used"
    only = f"  only {' '.join(sorted(record.scopes))}" if record.scopes is not None else ""
    return f"{record.id}  …{record.hint}  {record.user:16}  {_until(record):22}  {used}{only}"


def _until(record: "KeyRecord") -> str:
    if record.revoked_at is not None:
        return f"revoked {record.revoked_at:%Y-%m-%d}"
    if record.expires_at is None:
        return "does not expire"
    return f"{'holds until' if record.holds(datetime.now(UTC)) else 'expired'} {record.expires_at:%Y-%m-%d}"
