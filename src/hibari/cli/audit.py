"""`hibari audit`: read the audit log, and prove that nobody changed it."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from hibari.cli.options import Home, Json, new_app
from hibari.serve.journal import plain

if TYPE_CHECKING:
    from hibari.access import AuditEntry

app = new_app()


@app.callback()
def audit() -> None:
    """Who was denied, and who made, deleted, changed and decided what: list it, verify it."""


@app.command()
def verify(
    holds: Annotated[
        str | None, typer.Option(help="The head of an earlier check, which has to be in the log.", metavar="DIGEST")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Walk the whole chain: 0 where it is whole, 1 where rows were changed, taken out or put in.

    Rows cut off its end show only against a head that was noted elsewhere: keep what this prints.
    """
    from hibari.cli.desk import open_desk

    finding = open_desk(home).audit.verify(holds)
    if as_json:
        print(json.dumps(vars(finding) | {"whole": finding.whole}))
    elif finding.broken is not None:
        print(f"broken at row {finding.broken} of {finding.count}: it, or one before it, is not what was written.")
    elif finding.known_missing:
        print(f"{finding.count} rows follow from each other, but {holds} is not among them: rows are gone.")
    else:
        print(f"whole: {finding.count} rows, head {finding.head}")
    return 0 if finding.whole else 1


@app.command("list")
def list_rows(
    actor: Annotated[str | None, typer.Option(help="What this user did alone.")] = None,
    limit: Annotated[int, typer.Option(help="How many, the newest first.")] = 50,
    before: Annotated[int | None, typer.Option(help="The number that the page before ended with.")] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """The newest rows."""
    from hibari.cli.desk import open_desk

    for entry in open_desk(home).audit.list(actor=actor, limit=limit, before=before):
        print(json.dumps(entry.as_dict()) if as_json else _line(entry))
    return 0


def _line(entry: "AuditEntry") -> str:
    verdict = "allowed" if entry.allowed else "DENIED "
    what = f"{entry.action:18}  {plain(entry.resource)}"
    return (
        f"{entry.sequence:6}  {entry.at:%Y-%m-%d %H:%M:%S}  {verdict}  {plain(entry.actor):16}  {what}: {entry.reason}"
    )
