"""`hibari verify`: was this file made here, and on what does the answer rest."""

import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hibari.cli.options import Home, Json, new_app
from hibari.config import Settings
from hibari.errors import HibariError, InvalidRequest

if TYPE_CHECKING:
    from hibari.provenance.answer import Answer, Look
    from hibari.provenance.ledger import Entry

app = new_app()
HERE, NOTHING, UNREADABLE, ALTERED = 0, 1, 2, 3
WORST = (UNREADABLE, NOTHING, ALTERED, HERE)  # of several files, the first of these is the exit code
RELATIONS = {"inputTo": "made from", "parentOf": "edited from", "componentOf": "holds"}
MARGIN, LABEL = 2, 13  # letters, before every line and for its name
NARROWEST, WIDEST = 50, 88
RARELY = ((1e12, "a trillion"), (1e9, "a billion"), (1e6, "a million"))
TURNED = 0.5  # degrees, from which on it is worth a word
LONGEST = 3600.0  # seconds of looking


@app.command(
    epilog="Exit code: 0 made here and intact, 3 made here but altered or stripped, 1 nothing found, 2 unreadable."
)
def verify(
    files: Annotated[list[Path], typer.Argument(help="Videos or pictures.", metavar="FILE…")],
    seconds: Annotated[
        float | None, typer.Option(help="How long to look for the watermark in each file.", metavar="S")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Say whether a file was made here, when, by which model, from what, and on which technique the answer rests."""
    settings = Settings.load(home=home)
    if seconds is not None and not 0 < seconds <= LONGEST:
        raise InvalidRequest(f"{seconds:g} is not allowed.", option="seconds", hint=f"Give up to {LONGEST:g} seconds.")
    from hibari.provenance.verify import LOOK_SECONDS, Verifier

    try:
        verifier = Verifier.open(settings, look_seconds=seconds or LOOK_SECONDS)
    except HibariError as error:
        if not as_json:
            raise
        for path in files:
            _complain(path, error, as_json=True)
        return UNREADABLE
    codes = set()
    with verifier:
        for number, path in enumerate(files):
            try:
                answer = verifier.verify(path)
            except HibariError as error:
                codes.add(UNREADABLE)
                _complain(path, error, as_json=as_json)
                continue
            codes.add(code_of(answer))
            if number and not as_json:
                print()
            print(json.dumps(answer.as_dict()) if as_json else in_words(answer), flush=True)
    return next(code for code in WORST if code in codes)


def code_of(answer: "Answer") -> int:
    """The exit code of one answer."""
    if not answer.made_here:
        return NOTHING
    return HERE if answer.intact else ALTERED


def in_words(answer: "Answer", width: int | None = None) -> str:
    """The answer for a person: the verdict, what is known, and what each technique found; wrapped to the terminal."""
    width = min(max(width or shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    lines = [printable(answer.file), *_wrapped(_verdict(answer), width)]
    if answer.made_here:
        lines += ["", *_table(_known(answer), width)]
    found = [
        ("metadata", _metadata(answer)),
        ("watermark", _watermark(answer)),
        ("fingerprint", _fingerprint(answer)),
    ]
    return "\n".join([*lines, "", *_table(found, width)])


def printable(text: str) -> str:
    """A file's name that commands nothing to a terminal and stays on one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _complain(path: Path, error: HibariError, *, as_json: bool) -> None:
    """One file's error: a line of JSON in the form of an answer, or a line on standard error."""
    if as_json:
        from hibari.provenance.answer import NoAnswer

        print(json.dumps(NoAnswer(file=str(path), error=str(error)).as_dict()), flush=True)
    else:
        print(f"hibari: {printable(str(error))}", file=sys.stderr, flush=True)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=" " * MARGIN, subsequent_indent=" " * MARGIN, break_on_hyphens=False
    )


def _table(rows: list[tuple[str, str]], width: int) -> list[str]:
    """Names and what belongs to them, wrapped beside each other."""
    inner = width - MARGIN - LABEL
    lines = []
    for name, text in rows:
        for line in textwrap.wrap(text, inner, break_on_hyphens=False):
            lines.append(f"{'':{MARGIN}}{name:{LABEL}}{line}")
            name = ""  # noqa: PLW2901  # it stands before the first line alone
    return lines


def _verdict(answer: "Answer") -> str:
    if answer.made_here and answer.intact:
        return "Made here, and as it was when it was signed."
    if answer.made_here:
        return "Made here, and altered or stripped since."
    if answer.misfit:
        return (
            "Not proven. It carries credentials that were signed here, but for other content: they were put on this "
            "file, or it was changed so much that its watermark is gone."
        )
    if answer.resembles:
        return "Not proven. It looks like something that was made here, and a likeness proves nothing."
    return "Nothing found. That proves nothing: it may come from elsewhere, or have lost its marks."


def _known(answer: "Answer") -> list[tuple[str, str]]:
    known = [("rests on", " and ".join(answer.rests_on)), ("id", str(answer.id))]
    entry = answer.entry
    if entry is not None:
        return [*known, *_recorded(answer, entry)]
    seen = answer.metadata
    if "metadata" in answer.rests_on:
        if seen.created_at is not None:
            known.append(("when", f"{seen.created_at:%Y-%m-%d %H:%M} UTC, as its credentials say"))
        known.append(("by", seen.model or "a model that its credentials do not name"))
        known += [(RELATIONS.get(source.relationship, "from"), source.title) for source in seen.sources]
    return [*known, ("record", "None: the ledger here does not have it.")]


def _recorded(answer: "Answer", entry: "Entry") -> list[tuple[str, str]]:
    """What the ledger knows of a generation."""
    known = [
        ("when", f"{entry.created_at:%Y-%m-%d %H:%M} UTC"),
        ("by", f"{entry.model}, revision {entry.revision}"),
        ("as", _delivered(answer, entry)),
    ]
    if answer.told_by_file:
        known += [(RELATIONS.get(source.relationship, "from"), source.title) for source in answer.metadata.sources]
    for source in entry.sources:
        own = f"{source.own_id}, made here too" if source.own_id is not None else f"sha256 {source.sha256[:12]}…"
        known.append((RELATIONS[source.relationship], f"{source.title} ({own})"))
    if entry.erased_at is not None:
        known.append(("made from", "what was erased from the ledger, as a person may ask"))
    elif not entry.sources:
        known.append(("made from", "words alone: no picture or clip went in"))
    if entry.replay_of is not None:
        known.append(("a replay of", str(entry.replay_of)))
    return known


def _delivered(answer: "Answer", entry: "Entry") -> str:
    """What left the house, and what is here where that is something else."""
    made, here = entry.delivery, answer.info
    size, now = f"{made.width}x{made.height}", f"{here.width}x{here.height}"
    text = f"{made.frames / made.fps:.3g} s of {size} at {made.fps:g} fps" if made.fps else f"a picture of {size}"
    if made.fps and here.kind == "still":
        return f"{text}; this is a single picture of it, {now}"
    return text if size == now else f"{text}; this copy is {now}"


def _metadata(answer: "Answer") -> str:
    from hibari.provenance.credentials.read import in_words as explained

    seen = answer.metadata
    kept = "The ledger kept the credentials that it left with." if answer.recovered is not None else ""
    why = "; ".join(explained(problem).rstrip(".") for problem in seen.problems)
    if not seen.found:
        none = "No Content Credentials in the file." if seen.state == "none" else "Damaged Content Credentials."
        return " ".join(part for part in (none, f"{why}." if why else "", kept) if part)
    issuer = f"“{seen.issuer}”" if seen.issuer else "someone without a name"
    if seen.authentic:
        fit = "they fit the file" if seen.intact else "they do not fit the file"
        of = f", for {seen.id}" if seen.id is not None else ", and name nothing that was made here"
        return f"Content Credentials, signed here as {issuer}{of}; {fit}. {kept}".strip()
    if "metadata" in answer.rests_on:
        return (
            f"Content Credentials, signed here as {issuer}, for {seen.id}; they fit the file. "
            "The certificate has ended since, and the ledger vouches for the time."
        )
    who = "not known here" if "signingCredential.untrusted" in seen.problems else "not proven"
    if not seen.intact:
        return f"Content Credentials that name {issuer} do not hold: {why or 'they are incomplete'}. {kept}".strip()
    claims = [seen.software and f"made with {seen.software}", seen.created_at and f"on {seen.created_at:%Y-%m-%d}"]
    says = " ".join(claim for claim in claims if claim)
    said = f" They say: {says}." if says else ""
    return f"Content Credentials of {issuer}, who is {who}; they fit the file.{said} {kept}".strip()


def _watermark(answer: "Answer") -> str:
    mark, look = answer.watermark, answer.look
    if not look.keys:
        return "Not looked for: there is no key here, so nothing was marked here."
    if not mark.found:
        return f"None that was made with a key of this installation.{_short_of(answer)}"
    read = "read in full" if mark.exact else "too weak to read in full, and the best match of the ids given out here"
    turned = (f"turned by {abs(mark.angle):.0f}°", abs(mark.angle) >= TURNED)
    bent = [word for word, so in (("mirrored", mark.flipped), turned) if so]
    copy = f" in a copy that is {' and '.join(bent)}" if bent else ""
    rarely = next(words for bound, words in RARELY if 1 / max(mark.false_positive_rate, 1e-30) >= bound)
    caution = " The picture is not like the one recorded: a crop does that, and so does a mark copied onto it."
    chance = f"Chance alone does that in fewer than one of {rarely} searches."
    return f"{answer.marked_id}, {read}{copy}. {chance}{caution if answer.unlike else ''}{_damage(look)}"


def _damage(look: "Look") -> str:
    return f" Only the first {look.clip_seconds:.3g} s could be read: {look.damage}" if look.damage else ""


def _short_of(answer: "Answer") -> str:
    """What was not looked at, where nothing was found."""
    look, words = answer.look, ""
    if look.cut:
        words += f" Of the clip {look.clip_seconds:.0f} s were looked at."
    if not answer.watermark.whole:
        words += f" Looked for {look.seconds:.0f} s and stopped there, before every size and turn was tried;"
        words += f" --seconds {max(60, round(3 * look.seconds, -1)):.0f} looks longer."
    if answer.info.kind == "still":
        words += " A single picture holds less of it than a clip."
    return words


def _fingerprint(answer: "Answer") -> str:
    if not answer.resembles and answer.entry is not None and answer.entry.erased_at is not None:
        return "What was kept to compare it with was erased."
    if not answer.resembles:
        return (
            "Like nothing that was made here." if answer.compared else "Nothing was recorded here to compare it with."
        )
    best = answer.resembles[0]
    where = f" in {best.votes} of {best.asked} half seconds" if best.asked > 1 else ""
    likeness = f"Similar to {best.id}{where}"
    others = ", ".join(str(one.id) for one in answer.resembles[1:3])
    also = f", and to {others}" if others else ""
    return f"{likeness}{also}. By itself a likeness proves nothing."
