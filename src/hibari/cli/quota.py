"""`hibari quota`: what each user may have, what they have had today, and how to change it."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hibari.cli.options import Home, Json, new_app
from hibari.errors import InvalidRequest

if TYPE_CHECKING:
    from hibari.access import User
    from hibari.cli.desk import Desk

app = new_app()


@app.callback()
def quota() -> None:
    """Seconds of video a day, jobs at once and priority: show them, or set a user's own."""


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="One user; all without it.", metavar="NAME")] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """What holds for a user, and what they have had today (UTC)."""
    from hibari.cli.desk import open_desk

    desk = open_desk(home)
    for user in desk.users.list() if name is None else [_found(desk, name)]:
        print(json.dumps(_facts(desk, user)) if as_json else _line(_facts(desk, user)))
    return 0


@app.command("set")
def set_limits(
    name: Annotated[str, typer.Argument(help="Whose limits.", metavar="NAME")],
    seconds_a_day: Annotated[float | None, typer.Option(help="Seconds of video on a day.")] = None,
    jobs_at_once: Annotated[int | None, typer.Option(help="Jobs that wait or run at once.")] = None,
    priority: Annotated[int | None, typer.Option(help="Who goes first; 0 for most, higher before lower.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="What is not set here is the service's again.")] = False,
    home: Home = None,
) -> int:
    """Set limits of a user's own; what is not named stays."""
    from hibari.access import UserLimits
    from hibari.cli.desk import open_desk, user_named

    given = {"seconds_a_day": seconds_a_day, "jobs_at_once": jobs_at_once, "priority": priority}
    named: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if not named and not reset:
        raise InvalidRequest("nothing is to be set.", hint="`hibari quota set --help` says what can be.")
    desk = open_desk(home)
    limits = replace(UserLimits() if reset else _found(desk, name).limits, **named)
    own = ", ".join(f"{key} {value}" for key, value in vars(limits).items() if value is not None)
    desk.note(user_named(name), f"limits of {own}")
    print(_line(_facts(desk, desk.users.set_limits(name, limits))))
    return 0


def _found(desk: "Desk", name: str) -> "User":
    user = desk.users.find(name)
    if user is None:
        raise InvalidRequest(f"{name!r} is no user here.", hint="`hibari users list` shows them.")
    return user


def _facts(desk: "Desk", user: "User") -> dict[str, Any]:
    from hibari.access.quota import quota_of, usage

    holds, used = quota_of(user.limits, desk.settings.service), usage(desk.store, user.name)
    names = ("seconds_a_day", "jobs_at_once")
    may = {name: getattr(holds, name) for name in names} | {"priority": user.limits.priority}
    own = [name for name in names if getattr(user.limits, name) is not None]
    return {"user": user.name} | may | vars(used) | {"own": own}


def _line(facts: dict[str, Any]) -> str:
    seconds = f"{round(facts['seconds_today'], 1):g} of {round(facts['seconds_a_day'], 1):g} s today"
    jobs = f"{facts['jobs']} of {facts['jobs_at_once']} jobs"
    return f"{facts['user']:24}  {seconds:24}  {jobs:16}  priority {facts['priority']}"
