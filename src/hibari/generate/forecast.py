"""How much memory each stage of a generation will take, and how long it will last, before anything is loaded. No torch.

Memory is what must be there: a process's own (anonymous) pages and an accelerator's. Pages of mapped files, of the
weights and of libraries, are left out: the operating system takes them back when it needs room.
"""

from dataclasses import dataclass

from hibari.catalog import Model
from hibari.generate.anatomy import BYTES, Anatomy
from hibari.generate.calibration import Calibration
from hibari.generate.encoding import encoding_bytes
from hibari.generate.fit import Fit
from hibari.generate.footprint import (
    TEXT_TOKENS,
    decoding_bytes,
    decoding_work,
    denoising_bytes,
    denoising_work,
)
from hibari.generate.plan import Plan
from hibari.generate.weights import Weights

STAGES = ("load", "encode", "text", "denoise", "decode")  # "encode" where there is a clip, or an image as channels
PROGRAM = 163e6  # Python, torch and Hibari before any model
LIBRARY = 160e6  # transformers, where it runs the text encoder
PACKING = 8  # bytes that each weight of a layer takes for a moment while it is brought into a byte
PINNED = 1.65  # torch rounds each pinned piece up to a power of two: of the published sizes 1.45 to 1.64 together
IN_FLIGHT = 3  # layers that are there at once where they are streamed: in use, coming, and being read


@dataclass(frozen=True, kw_only=True)
class Where:
    """What computes: a kind of device, and the number type."""

    device: str
    dtype: str

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return BYTES[self.dtype]

    @property
    def on_accelerator(self) -> bool:
        return self.device != "cpu"


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Bytes that each stage takes, of main memory and of an accelerator, and seconds (None: not known yet).

    `preview` is what the computing device holds while a frame is shown early, in the midst of the walk.
    """

    main: dict[str, float]
    accelerator: dict[str, float]
    seconds: dict[str, float] | None
    preview: float

    @property
    def peak(self) -> float:
        """The most that the computing device's memory holds."""
        return max((self.accelerator or self.main).values())

    @property
    def peak_main(self) -> float:
        return max(self.main.values())


def foresee(model: Model, anatomy: Anatomy, plan: Plan, fit: Fit, where: Where, rates: Calibration | None) -> Forecast:
    """What this plan takes on that machine, held and decoded in this way."""
    # A picture alone takes less than what it becomes part of.
    encodes = plan.source is not None or model.form.start == "channels"
    held = _held(anatomy, fit, where)
    working = _working(model, anatomy, plan, fit, where)
    stages = {name: held[name] + working.get(name, 0.0) for name in STAGES if encodes or name != "encode"}
    program = PROGRAM + (LIBRARY if not anatomy.text_bytes else 0.0)
    seconds = _seconds(model, anatomy, plan, fit, rates) if rates is not None else None
    preview = held["preview"] + max(working["denoise"], working["preview"])
    if not where.on_accelerator:
        main = {name: program + n for name, n in stages.items()}
        return Forecast(main=main, accelerator={}, seconds=seconds, preview=program + preview)
    waiting = max(_stored(each, fit.storage, where) for each in anatomy.experts) if fit.offload == "cpu" else 0.0
    waiting *= PINNED if where.device == "cuda" else 1.0
    main = dict.fromkeys(stages, 4 * program + waiting)
    return Forecast(main=main, accelerator=stages, seconds=seconds, preview=preview)


def _held(anatomy: Anatomy, fit: Fit, where: Where) -> dict[str, float]:
    """Bytes of weights that are held in each stage, and in a preview."""
    text = _text_bytes(anatomy, fit, where)
    image = anatomy.image.total * where.size if anatomy.image is not None else 0.0
    vae = anatomy.vae_weights.total * where.size
    experts = [_expert_bytes(each, fit, where) for each in anatomy.experts]
    packing, text_packing = 0.0, 0.0
    if fit.storage != "exact":
        packing, text_packing = (PACKING * max(w.largest for w in of) for of in (anatomy.experts, [anatomy.text]))
    if fit.offload == "none":
        before_vae = text + image + sum(experts)
        return dict.fromkeys((*STAGES, "preview"), before_vae + vae) | {"load": before_vae + max(packing, vae)}
    return {
        "load": max(experts) + packing,
        "encode": image + vae,
        "text": text + text_packing,
        "denoise": max(experts),
        "preview": max(experts) + vae,
        "decode": vae,
    }


def _text_bytes(anatomy: Anatomy, fit: Fit, where: Where) -> float:
    wide = anatomy.text_bytes or (4 if where.dtype == "float32" else 2)
    small = anatomy.text.in_blocks if fit.storage != "exact" else 0
    return (anatomy.text.total - small) * wide + small


def _stored(weights: Weights, storage: str, where: Where) -> float:
    """Bytes of the layers of a transformer's blocks, as they are stored."""
    return weights.in_blocks * (where.size if storage == "exact" else 1)


def _expert_bytes(weights: Weights, fit: Fit, where: Where) -> float:
    """Bytes of a transformer's weights on the device that computes, with those of layers that come and go."""
    fixed = (weights.total - weights.in_blocks) * where.size
    passing = weights.largest * where.size
    if fit.offload == "disk" or (fit.offload == "cpu" and where.on_accelerator):
        return fixed + IN_FLIGHT * passing
    widened = passing if fit.storage != "exact" else 0
    return fixed + _stored(weights, fit.storage, where) + widened + (2 * passing if fit.offload == "cpu" else 0)


def _working(model: Model, anatomy: Anatomy, plan: Plan, fit: Fit, where: Where) -> dict[str, float]:
    """Bytes that each stage holds beside the weights."""
    latent = model.strides.latent(plan.render)
    tokens, chunked = _tokens(model, plan), where.device == "cpu" and where.dtype == "bfloat16"
    return {
        "encode": encoding_bytes(anatomy.vae, latent.height, latent.width, fit.tile, where.size),
        "denoise": denoising_bytes(anatomy.dit, tokens, _clips(plan), where.size, chunked),
        "preview": decoding_bytes(anatomy.vae, latent._replace(frames=1), fit.decoding, where.size),
        "decode": decoding_bytes(anatomy.vae, latent, fit.decoding, where.size),
    }


def _seconds(model: Model, anatomy: Anatomy, plan: Plan, fit: Fit, rates: Calibration) -> dict[str, float]:
    latent = model.strides.latent(plan.render)
    one = denoising_work(anatomy.dit, _tokens(model, plan), _clips(plan))
    decoding = decoding_work(anatomy.vae, latent, fit.decoding)
    reading = anatomy.experts[0].in_blocks * rates.size / rates.reading if fit.offload == "disk" else 0.0
    step = one.linear / rates.linear + one.attention / rates.attention
    return {
        "text": 4.0 * anatomy.text.total * TEXT_TOKENS / rates.linear,
        "denoise": plan.visits * max(step, reading),
        "decode": decoding.convolution / rates.convolution + decoding.attention / rates.attention,
    }


def _tokens(model: Model, plan: Plan) -> int:
    """Tokens of what is walked at a time: the whole clip, or the longest of its windows."""
    latent = model.strides.latent(plan.render)
    return model.strides.grid(latent._replace(frames=plan.at_once(latent.frames))).tokens


def _clips(plan: Plan) -> int:
    """Clips in a pack: the prompt's, and that of what guidance moves away from, with either expert."""
    return 2 if any(guidance != 1 for guidance in plan.guidances) else 1
