"""What is known of a video before it is made: its start image, the clip that it is made from, and reference pictures.

A clip comes as its kept latents where there are some that belong to it, and is encoded where there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from hibari.generate.plan import Plan
from hibari.produce.job import Job
from hibari.produce.latents import Kept, kept_of
from hibari.provenance.ledger import Entry

if TYPE_CHECKING:
    from torch import Tensor

    from hibari.generate.conditions import Condition
    from hibari.media.fit import Frame


class Encoder(Protocol):
    """What makes latents of frames at a render size: a loaded model."""

    def encode_picture(self, frame: "Frame") -> "Tensor": ...

    def know_pictures(
        self, plan: Plan, start: "Frame", end: "Frame | None" = None, level: float = 0.0
    ) -> "tuple[Condition, ...]": ...

    def encode_clip(self, frames: "Iterator[Frame]") -> "Tensor": ...


@dataclass(frozen=True, kw_only=True)
class Known:
    """The conditions of a job. What is new begins `earlier` rendered frames before the plan has it.

    `kept` says that a clip came as its kept latents.
    """

    conditions: "tuple[Condition, ...]" = ()
    earlier: int = 0
    kept: bool = False


def known_of(job: Job, encoder: Encoder, entry: Entry | None) -> Known:
    """The conditions of a job; `entry` is the generation that its clip is, where it left here. Raises BadMedia."""
    from hibari.generate.conditions import KnownFrames

    plan = job.plan
    pictures = _references(job, encoder)
    if job.start_frame is not None:
        ends = encoder.know_pictures(plan, job.start_frame, job.end_frame, job.request.strength or 0.0)
        return Known(conditions=(*ends, *pictures))
    if plan.source is None:
        return Known(conditions=pictures)
    kept = kept_of(job.request.latents, entry, job.model) if job.request.latents is not None else None
    found = None if kept is None else _whole(job, kept) if not plan.source.kept else _tail(job, kept, encoder)
    if found is None:
        assert job.clip is not None
        found = encoder.encode_clip(_fitted(job, plan.source.known)), 0
        kept = None
    latent, earlier = found
    clip = KnownFrames(latent, level=plan.source.level)
    return Known(conditions=(clip, *pictures), earlier=earlier, kept=kept is not None)


def _references(job: Job, encoder: Encoder) -> "tuple[Condition, ...]":
    import torch

    from hibari.generate.conditions import References

    if not job.references:
        return ()
    return (References(torch.cat([encoder.encode_picture(frame) for frame in job.references], dim=1)),)


def _whole(job: Job, kept: Kept) -> "tuple[Tensor, int] | None":
    """The kept latents of a clip as far as it is redrawn; None where they do not reach."""
    shape = job.model.strides.latent(job.plan.render)
    if not kept.whole or kept.latent_CTHW.shape[1] < shape.frames or not _fits(job, kept):
        return None
    return kept.latent_CTHW[:, : shape.frames], 0


def _tail(job: Job, kept: Kept, encoder: Encoder) -> "tuple[Tensor, int] | None":
    """The last kept latents before a clip's end, after a picture of what was before them; None where they are few.

    Latents end with whole groups of frames: those that were rendered beyond the clip's end are made new a little
    earlier. The first latent of a clip stands for one frame, so the picture is encoded.
    """
    import torch

    source, step = job.plan.source, job.model.strides.time
    assert source is not None and job.clip is not None and job.clip.shape is not None
    latent_CTHW = kept.latent_CTHW[:, : kept.latent_CTHW.shape[1] - kept.beyond // step]
    earlier, wanted = kept.beyond % step, source.context // step
    if not wanted or latent_CTHW.shape[1] <= wanted or not _fits(job, kept):
        return None
    tail = latent_CTHW[:, -wanted:]
    if latent_CTHW.shape[1] == wanted + 1:
        return latent_CTHW, earlier
    before = Fraction(len(source.kept), job.plan.fps) - Fraction(source.context - earlier, job.model.card.fps)
    (frame,) = _fitted(job, [job.clip.shape.frame_at(before)])
    picture = encoder.encode_picture(frame)
    return torch.cat([picture, tail.to(picture)], dim=1), earlier


def _fits(job: Job, kept: Kept) -> bool:
    shape, (channels, _, height, width) = job.model.strides.latent(job.plan.render), kept.latent_CTHW.shape
    return (channels, height, width) == (shape.channels, shape.height, shape.width)


def _fitted(job: Job, indices: "tuple[int, ...] | list[int]") -> "Iterator[Frame]":
    """Frames of the clip at the render size."""
    from hibari.media.fit import fit

    assert job.clip is not None
    for frame in job.clip.frames(indices):
        yield fit(frame, job.plan.render.width, job.plan.render.height)
