"""Latents that were made and not yet delivered, in a private file, so that a failure after them never loses the work.

The file goes when its video is delivered, refused, held or stopped. Where anything else fails it stays for some days,
and the error says how to finish it; that goes through the door as any request does, screens and all.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari.errors import InvalidRequest, OutputError, StoreError
from hibari.media.files import beside
from hibari.provenance.ids import GenerationId

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "unfinished"
NAME, FACTS = "latents", "facts"
KEPT_S = 3 * 24 * 3600


@dataclass(frozen=True, kw_only=True, eq=False)
class Unfinished:
    """A latent (C,T,H,W) with what belongs to it: the request, the weights' digest, and what was known of its clip."""

    latent_CTHW: "Tensor"
    request: dict[str, Any]
    sources_sha256: list[str]
    model: str
    weights_sha256: str
    earlier: int
    clip_from: str | None


@contextmanager
def safe(home: Path, id: GenerationId, unfinished: Unfinished) -> Iterator[None]:
    """Keep latents while the block delivers them; raises OutputError, with how to go on, where it fails."""
    path = _path(home, id)
    _write(path, unfinished)
    try:
        yield
    except (RuntimeError, MemoryError, OSError, OutputError, StoreError) as error:
        reason = getattr(error, "message", None) or str(error) or "not enough memory"
        raise OutputError(
            f"the video was made and could not be finished: {' '.join(reason.split())[:300]}",
            option="output",
            hint=f"Nothing is lost: `hibari generate --latents {id}` finishes it, within three days.",
        ) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
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


def forget(home: Path, id: GenerationId) -> None:
    """Delete what was kept under an id."""
    _path(home, id).unlink(missing_ok=True)


def _path(home: Path, id: GenerationId) -> Path:
    return home / FOLDER / f"{id}.safetensors"


def _write(path: Path, unfinished: Unfinished) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(mode=0o700, exist_ok=True)
    for old in path.parent.glob("*.safetensors"):
        if time.time() - old.stat().st_mtime > KEPT_S:
            old.unlink(missing_ok=True)
    facts = {name: value for name, value in vars(unfinished).items() if name != "latent_CTHW"}
    with beside(path, private=True) as partial:
        save_file({NAME: unfinished.latent_CTHW.cpu().contiguous()}, partial, {FACTS: json.dumps(facts)})
