"""`hibari verify`: was this file made here, and on what does the answer rest."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hibari.cli.options import Home, Json, new_app
from hibari.config import Settings
from hibari.errors import BadMedia

if TYPE_CHECKING:
    from hibari.provenance.verify import Answer

app = new_app()
HERE, NOTHING, UNREADABLE, ALTERED = 0, 1, 2, 3
WORST = (UNREADABLE, NOTHING, ALTERED, HERE)  # of several files, the first of these is the exit code
RELATIONS = {"inputTo": "made from", "parentOf": "edited from", "componentOf": "holds"}


@app.command(
    epilog="Exit code: 0 made here and intact, 3 made here but altered or stripped, 1 nothing found, 2 unreadable."
)
def verify(
    files: Annotated[list[Path], typer.Argument(help="Videos or pictures.", metavar="FILE…")],
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Say whether a file was made here, when, by which model, from what, and on which technique the answer rests."""
    from hibari.provenance.verify import Verifier

    verifier = Verifier.open(Settings.load(home=home))
    codes = set()
    for path in files:
        try:
            answer = verifier.verify(path)
        except BadMedia as error:
            codes.add(UNREADABLE)
            if as_json:
                print(
                    json.dumps(
                        {"file": str(path), "made_here": False, "intact": False, "id": None, "error": str(error)}
                    )
                )
            else:
                print(f"hibari: {error}", file=sys.stderr)
            continue
        codes.add(code_of(answer))
        print(json.dumps(answer.as_dict()) if as_json else in_words(answer), flush=True)
    return next(code for code in WORST if code in codes)


def code_of(answer: "Answer") -> int:
    """The exit code of one answer."""
    if not answer.made_here:
        return NOTHING
    return HERE if answer.intact else ALTERED


def in_words(answer: "Answer") -> str:
    """The answer for a person: the verdict, what is known, and what each technique found."""
    lines = [f"{answer.file}: {_verdict(answer)}"]
    if answer.made_here:
        lines += [f"  {line}" for line in _known(answer)]
    lines += ["", "  what each technique found", f"    metadata     {_metadata(answer)}"]
    lines += [f"    watermark    {_watermark(answer)}", f"    fingerprint  {_fingerprint(answer)}"]
    return "\n".join(lines)


def _verdict(answer: "Answer") -> str:
    if not answer.made_here:
        return "nothing found, which proves nothing: it may come from elsewhere, or have lost its marks."
    if answer.intact:
        return "made here, and as it was when it was signed."
    return "made here, and altered or stripped since."


def _known(answer: "Answer") -> list[str]:
    techniques = [
        name
        for name, found in (("metadata", answer.metadata.authentic), ("watermark", answer.watermark.found))
        if found
    ]
    known = [f"rests on     {' and '.join(techniques)}"]
    if answer.id is not None:
        known.append(f"id           {answer.id}")
    entry = answer.entry
    if entry is None:
        return [*known, "the ledger here has no record of it"]
    known.append(f"made         {entry.created_at:%Y-%m-%d %H:%M} UTC")
    known.append(f"by           {entry.model}, revision {entry.revision}")
    known += [
        f"{RELATIONS[source.relationship]:12} {source.title} (sha256 {source.sha256[:12]}…)" for source in entry.sources
    ]
    if entry.replay_of is not None:
        known.append(f"a replay of  {entry.replay_of}")
    return known


def _metadata(answer: "Answer") -> str:
    seen = answer.metadata
    if not seen.found:
        if answer.recovered is not None:
            return "none in the file; the ledger kept its signed credentials"
        return "none" if seen.state == "none" else "damaged"
    who = "signed here" if seen.authentic else f"signed by {seen.issuer or 'someone'}, who is not known here"
    whole = "and they fit the file" if seen.intact else "and they do not fit the file"
    return f"Content Credentials, {who}, {whole}"


def _watermark(answer: "Answer") -> str:
    mark = answer.watermark
    if not mark.found:
        return "none"
    how = "read in full" if mark.exact else "weak, matched against the ids given out here"
    bent = ", mirrored" if mark.flipped else ""
    rarely = 1 / max(mark.false_positive_rate, 1e-12)
    return f"{answer.id}: {how}{bent} (z {mark.z:.1f}; by chance less than once in {rarely:.0e} files)"


def _fingerprint(answer: "Answer") -> str:
    if not answer.resembles:
        return "nothing alike"
    best = answer.resembles[0]
    return f"similar to {best.id} ({best.votes} of {best.asked} half seconds), which proves nothing by itself"
