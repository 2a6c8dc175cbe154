"""What is known of a finished file, as its maker hands it on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hibari.generate.plan import Plan
from hibari.provenance.ids import GenerationId
from hibari.request import GenerationRequest

if TYPE_CHECKING:
    from hibari.provenance.ledger import Making


CLIP_FROM, KEPT_LATENTS = "clip_from", "kept latents"  # in the request that is kept: as what its clip was known
RUN_BY = "run_by"  # there too: what ran the model where that was not Hibari, and its version


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was made, how, and how to make it again. Digests are of latents and of frames before marking.

    `facts` are recorded with the request: what ran the model, and how, where it was not the plain way.
    """

    id: GenerationId
    path: Path
    request: GenerationRequest
    plan: Plan
    model: str
    revision: str
    making: "Making"
    file_sha256: str
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    replay_of: GenerationId | None = None

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        plan = self.plan
        return {
            "id": str(self.id),
            "path": str(self.path),
            **request_as_dict(self.request, plan),
            **self.facts,
            "seconds": plan.seconds,
            "model": self.model,
            "revision": self.revision,
            "render_size": f"{plan.render.width}x{plan.render.height}",
            "frames": plan.frames,
            "solver": plan.solver,
            **vars(self.making),
            "file_sha256": self.file_sha256,
            "seconds_spent": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "notes": [*plan.notes, *self.notes],
            "replay_of": str(self.replay_of) if self.replay_of else None,
        }


def request_as_dict(request: GenerationRequest, plan: Plan) -> dict[str, Any]:
    """A request with everything that its plan settled, so that it asks for the same again."""
    return {
        "prompt": request.prompt,
        "negative": request.negative,
        "image": str(request.image.absolute()) if request.image else None,
        "end_image": str(request.end_image.absolute()) if request.end_image else None,
        "video": str(request.video.absolute()) if request.video else None,
        "extend": request.extend,
        "references": [str(path.absolute()) for path in request.references],
        "consent": request.consent,
        "strength": plan.source.level if plan.source is not None and not request.extend else request.strength,
        "size": str(plan.delivered),
        "seconds": plan.made_seconds,
        "fps": plan.fps,
        "seed": plan.seed,
        "steps": plan.steps,
        "guidance": plan.guidance,
        "guidance_2": plan.guidance_2,
        "flow_shift": plan.flow_shift,
        "fast": plan.fast is not None,
        "loras": [
            {"lora": str(lora.path), "weight": lora.weight, "expert": lora.expert, "sha256": lora.sha256}
            for lora in plan.loras
        ],
        "shortcuts": plan.shortcuts._asdict(),
    }
