"""A picture composed of generations, such as a contact sheet, on its way through the door.

It leaves as any still does: screened, labelled, watermarked and signed under an id of its own, with the generations
that it shows named as its components. That it shows nothing else is for whoever composes it to see to. It is no
generation, so it cannot be replayed; its components can.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari import catalog
from hibari.config import Settings
from hibari.errors import InvalidRequest
from hibari.media.files import check_writable, file_sha256
from hibari.media.suffixes import format_of
from hibari.produce.job import Job
from hibari.produce.passage import HeldPlace, Passage
from hibari.produce.progress import Stopwatch
from hibari.produce.record import Record
from hibari.produce.replay import COMPONENTS
from hibari.produce.road import Hibari, deliver
from hibari.provenance.credentials.manifest import Origin
from hibari.provenance.credentials.manifest import Source as SignedSource
from hibari.provenance.ledger import Entry, Making, Source
from hibari.request import GenerationRequest, Size

if TYPE_CHECKING:
    from PIL import Image

    from hibari.media.fit import Frame
    from hibari.provenance.label import Label

TITLE = "clip on the sheet"


def publish_sheet(
    hibari: Hibari,
    picture: "Image.Image",
    components: Sequence[Record],
    output: Path | str,
    *,
    user: str | None = None,
    parts: "Sequence[Frame]" = (),
    held_place: HeldPlace | None = None,
    seen: bool = False,
) -> Record:
    """Deliver a picture of `components`, whose files are still as they left; raises as `Hibari.generate` does.

    It is `user`'s, the settings' own by default. All components are recorded here. The record's request and model are
    the first component's, with the prompts of all; a comparison of several models has each in its own component's
    record. Where the `parts` that it is put together from are
    given, frames of the components as they left, these are screened in its place: a frame model knows scenes, and a
    mosaic is none. Their visible labels stand on it then, so that it gets none of its own, which would only cover what
    it shows. `held_place` is where it goes where it is held, `seen` that a reviewer let through what it shows.
    """
    import numpy as np

    frame = np.asarray(picture.convert("RGB"))
    entries = [_delivered(hibari, each) for each in components]
    job = _job(hibari.settings, components, Size(picture.width, picture.height), check_sheet_target(output))
    passage = _SheetPassage(
        door=hibari.door,
        job=job,
        watch=Stopwatch(),
        owner=user,
        held_place=held_place,
        seen=seen,
        components=tuple(components),
        parts=tuple(parts),
    )
    latents = "".join(entry.making.latents_sha256 for entry in entries)
    making = replace(
        entries[0].making,
        latents_sha256=hashlib.sha256(latents.encode()).hexdigest(),
        frames_sha256=hashlib.sha256(frame.tobytes()).hexdigest(),
    )

    def made() -> Making:
        return making

    return passage.hand_over(deliver(passage, iter([frame]), made))


def check_sheet_target(output: Path | str) -> Path:
    """The file that a sheet is to be, before there are clips for it; raises BadMedia, InvalidRequest, OutputError."""
    target = Path(output).expanduser()
    if format_of(target).kind != "still":
        raise InvalidRequest(
            f"a sheet is a picture, and {target.name} is a video.", option="output", hint="Use .png, .webp or .jpg."
        )
    check_writable(target)
    return target


@dataclass
class _SheetPassage(Passage):
    """The passage of a sheet: what it is made from are components, and no start image."""

    components: tuple[Record, ...] = field(kw_only=True)
    parts: "tuple[Frame, ...]" = ()

    @property
    def _label(self) -> "Label | None":
        label = super()._label
        return label if label is not None and (label.by_picture or not self.parts) else None

    def _look(self, frame: "Frame", at: float | None) -> None:
        for each in self.parts or (frame,):
            super()._look(each, at)

    def _request(self) -> dict[str, Any]:
        return super()._request() | {COMPONENTS: [str(each.id) for each in self.components]}

    def _origin(self) -> Origin:
        sources = tuple(
            SignedSource(content=each.path, mime=format_of(each.path).mime, relationship="componentOf", title=TITLE)
            for each in self.components
        )
        return replace(super()._origin(), sources=sources)

    def _sources(self) -> tuple[Source, ...]:
        return tuple(
            Source(
                sha256=each.file_sha256,
                relationship="componentOf",
                mime=format_of(each.path).mime,
                title=TITLE,
                own_id=each.id,
            )
            for each in self.components
        )


def _delivered(hibari: Hibari, component: Record) -> Entry:
    """The entry of a component; raises InvalidRequest unless it left here, and its file is as it left."""
    entry = hibari.door.ledger.find(component.id)
    if entry is None or entry.state != "delivered":
        raise InvalidRequest(f"{component.id} was not delivered here, so no sheet can show it.", option="components")
    try:
        digest = file_sha256(component.path)
    except OSError as error:
        raise InvalidRequest(
            f"{component.path} cannot be read ({error.strerror}).", option="components", hint="Keep it until the end."
        ) from error
    if digest != entry.delivery.file_sha256:
        raise InvalidRequest(f"{component.path} has changed since it was made.", option="components")
    return entry


def _job(settings: Settings, components: Sequence[Record], size: Size, target: Path) -> Job:
    """The first component's job as a still of the sheet's size; raises InvalidRequest without one."""
    if not components:
        raise InvalidRequest("there are none.", option="components", hint="A sheet shows at least one generation.")
    first = components[0]
    model = catalog.find(first.request.model or settings.model, settings)
    prompts = "; ".join(dict.fromkeys(each.request.prompt for each in components))
    return Job(
        request=GenerationRequest(
            prompt=prompts, negative=first.request.negative, model=first.request.model, seconds=0
        ),
        model=model,
        plan=replace(first.plan, delivered=size, picks=(0,), source=None, notes=()),
        target=target,
        start_frame=None,
        advice="",
    )
