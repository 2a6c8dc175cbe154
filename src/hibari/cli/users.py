"""`hibari users`: who is known to the service, and what they may do there."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hibari.cli.options import Home, Json, new_app

if TYPE_CHECKING:
    from hibari.access import User

app = new_app()
Name = Annotated[str, typer.Argument(help="A user, as `hibari users list` names them.", metavar="NAME")]


@app.callback()
def users() -> None:
    """The service's users: list them, give one another role, shut one out. `hibari keys create` makes them."""


@app.command("list")
def list_users(as_json: Json = False, home: Home = None) -> int:
    """Every user, by name."""
    from hibari.cli.desk import open_desk

    for user in open_desk(home).users.list():
        print(json.dumps(user.as_dict()) if as_json else _line(user))
    return 0


@app.command("role")
def set_role(
    name: Name,
    role: Annotated[str, typer.Argument(help="admin, creator, viewer, reviewer or auditor.", metavar="ROLE")],
    home: Home = None,
) -> int:
    """Give a user another role, within 5 seconds."""
    from hibari.cli.desk import open_desk, user_named

    desk = open_desk(home)
    desk.note(user_named(name), f"the role {role}")
    return _say(desk.users.set_role(name, role))


@app.command()
def disable(name: Name, home: Home = None) -> int:
    """Shut a user out, keys and all, within 5 seconds; what they made stays."""
    from hibari.cli.desk import open_desk, user_named

    desk = open_desk(home)
    desk.note(user_named(name), "disabled")
    return _say(desk.users.disable(name))


@app.command()
def enable(name: Name, home: Home = None) -> int:
    """Let a user in again."""
    from hibari.cli.desk import open_desk, user_named

    desk = open_desk(home)
    desk.note(user_named(name), "enabled")
    return _say(desk.users.enable(name))


def _say(user: "User") -> int:
    print(f"hibari: {user.name} is {user.role}{', disabled' if user.disabled else ''}.", file=sys.stderr)
    return 0


def _line(user: "User") -> str:
    since = f"since {user.created_at:%Y-%m-%d}"
    return f"{user.name:24}  {user.role:8}  {since}{'  disabled' if user.disabled else ''}"
