"""Latents that were made and not yet delivered, in a private file, so that a failure after them never loses the work.

The file goes when its video is delivered, refused by the policy, held or stopped. Where anything else fails, also a
part that screens or signs, it stays for some days, and the error says how to finish it; that goes through the door as
any request does, screens and all. It holds a prompt and whose it is: it goes with that person's data (`erase`), and no
backup has it.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari.catalog.folder import METADATA, read_header
from hibari.errors import BadWeights, Cancelled, Held, HibariError, InvalidRequest, OutputError, Refused
from hibari.generate.fit import Storage
from hibari.media.files import beside, is_abandoned, output_error
from hibari.media.files import sweep as sweep_partial
from hibari.provenance.ids import GenerationId
from hibari.provenance.keyfiles import ensure_private_folder

if TYPE_CHECKING:
    from torch import Tensor

    from hibari.provenance.ledger import Ledger

FOLDER = "unfinished"
NAME, FACTS = "latents", "facts"
KEPT_S = 3 * 24 * 3600
SPARE_BYTES = 8 << 20  # beside the latents, for what else a delivery writes to the data folder


@dataclass(frozen=True, kw_only=True, eq=False)
class Unfinished:
    """A latent (C,T,H,W) with what belongs to it: the request, the weights' digest, and what was known of its clip.

    `user` is whose it is, and `repeats` the id of the generation that it makes again, where it does.
    """

    latent_CTHW: "Tensor"
    user: str
    repeats: str | None
    request: dict[str, Any]
    sources_sha256: list[str]
    model: str
    weights_sha256: str
    storage: Storage
    earlier: int
    clip_from: str | None


def check_room(home: Path, numbers: int) -> None:
    """Raise OutputError, before so many numbers of a latent are made, where there is no room to keep them."""
    needed, free = 4 * numbers + SPARE_BYTES, shutil.disk_usage(home).free
    if free < needed:
        raise OutputError(
            f"{home}: {needed / 1e6:.0f} MB are needed for what is made, and {free / 1e6:.0f} MB are free.",
            option="home",
            hint="Make room, or choose another.",
        )


@contextmanager
def safe(home: Path, id: GenerationId, unfinished: Unfinished) -> Iterator[None]:
    """Keep latents while the block delivers them; raises OutputError, with how to go on, where it fails.

    A fault of ours comes through with the same words as a note. What lay there before the block, because it is tried
    again, stays where it is stopped.
    """
    path = _path(home, id)
    again = path.exists()
    if not again:
        _write(path, unfinished)
    hint = f"Nothing is lost: `hibari generate --latents {id}` finishes it, within three days."
    try:
        yield
    except (Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit):
        if not again:
            path.unlink(missing_ok=True)
        raise
    except Exception as error:
        if isinstance(error, Held) or (isinstance(error, Refused) and error.category):
            path.unlink(missing_ok=True)  # somebody said no; a part that could not run may do so later
            raise
        if not isinstance(error, (HibariError, RuntimeError, MemoryError, OSError)):
            error.add_note(hint)
            raise
        reason = " ".join(str(error).split())[:300] or "not enough memory"
        message = f"it was made, and could not be finished: {reason}"
        raise OutputError(message, option="output", hint=hint) from error
    path.unlink(missing_ok=True)


def find(home: Path, id: GenerationId) -> Unfinished:
    """What was kept under an id; raises InvalidRequest where nothing was, or it is not whole."""
    from safetensors import SafetensorError, safe_open

    path = _path(home, id)
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()[FACTS])
            return Unfinished(latent_CTHW=file.get_tensor(NAME).clone(), **facts)
    except FileNotFoundError as error:
        raise InvalidRequest(
            f"nothing of {id} is kept.", option="latents", hint="What is not finished is kept for three days."
        ) from error
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise InvalidRequest(f"what was kept of {id} is not whole.", option="latents", hint="Make it again.") from error


def kept_of(home: Path, user: str) -> list[dict[str, Any]]:
    """What is kept of a user, as plain values: ids with the requests."""
    facts = {path: _facts(path) for path in _files(home)}
    return [
        {"id": path.stem, "request": each["request"]}
        for path, each in facts.items()
        if each is not None and each.get("user") == user
    ]


def erase(home: Path, user: str, ledger: "Ledger") -> int:
    """Delete a user's, and what repeats an erased request; returns how many. Raises OutputError.

    A file that does not say whose it is, is of no use to anyone, and goes too.
    """
    count = 0
    for path in _files(home):
        facts = _facts(path)
        if facts is None or facts.get("user") in (user, None) or _repeats_erased(facts, ledger):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise output_error(path, error) from error
            count += 1
    return count


def sweep(home: Path) -> None:
    """Delete what nobody came back for, and what was never whole; raises Refused where others may read the folder."""
    sweep_partial(ensure_private_folder(home / FOLDER))
    for path in _files(home):
        if is_abandoned(path, KEPT_S):
            path.unlink(missing_ok=True)


def _files(home: Path) -> list[Path]:
    return sorted((home / FOLDER).glob("[!.]*.safetensors"))


def _facts(path: Path) -> dict[str, Any] | None:
    """What stands in a file beside the latent; None where it is not whole, or gone by now."""
    try:
        facts = json.loads(read_header(path)[METADATA][FACTS])
    except (OSError, BadWeights, ValueError, KeyError, TypeError):
        return None
    return facts if isinstance(facts, dict) else None


def _repeats_erased(facts: dict[str, Any], ledger: "Ledger") -> bool:
    if facts.get("repeats") is None:
        return False
    first = ledger.find(GenerationId.parse(facts["repeats"]))
    return first is None or first.erased_at is not None


def _path(home: Path, id: GenerationId) -> Path:
    return home / FOLDER / f"{id}.safetensors"


def _write(path: Path, unfinished: Unfinished) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(mode=0o700, exist_ok=True)
    facts = {name: value for name, value in vars(unfinished).items() if name != "latent_CTHW"}
    with beside(path, private=True) as partial:
        save_file({NAME: unfinished.latent_CTHW.cpu().contiguous()}, partial, {FACTS: json.dumps(facts)})
