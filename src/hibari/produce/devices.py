"""What several devices under torchrun cannot do, said before anything is loaded."""

from collections.abc import Iterator

from hibari import catalog
from hibari.config import EngineSettings
from hibari.errors import InvalidRequest
from hibari.generate.plan import Plan

WITHOUT = "Leave out torchrun."


def check_devices(model: catalog.Model, plan: Plan, engine: EngineSettings, size: int) -> None:
    """Raise InvalidRequest for what `size` devices cannot make together, or not in the way that was asked for."""
    fault = next(_faults(model, plan, engine, size), None)
    if fault is not None:
        raise fault


def _faults(model: catalog.Model, plan: Plan, engine: EngineSettings, size: int) -> Iterator[InvalidRequest]:
    if model.form.backend != "native":
        yield InvalidRequest(f"{model.name} runs on one device.", option="model", hint=WITHOUT)
        return
    asked = {
        "storage": engine.storage in ("int8", "fp8"),
        "offload": engine.offload not in ("auto", "none"),
        "memory": engine.memory > 0,
    }
    for name in (name for name, is_asked in asked.items() if is_asked):
        yield InvalidRequest(
            "several devices hold a model whole, each in its own memory.",
            option=name,
            hint="Leave it out, or leave out torchrun.",
        )
    if engine.compile == "on":
        yield InvalidRequest("several devices run uncompiled.", option="compile", hint="Set HIBARI_COMPILE=off.")
    if plan.shortcuts.cache:
        yield InvalidRequest("several devices have no step cache.", option="shortcuts", hint="Leave out --cache.")
    rows = model.strides.latent(plan.render).height
    if rows < size:
        yield InvalidRequest(
            f"{rows} rows of latents cannot be shared by {size} devices.", option="size", hint=f"Start {rows} or fewer."
        )
    config = model.configs[model.form.experts[0]]
    heads, share = config["num_attention_heads"], size // 2 if engine.parallel == "auto" and size % 2 == 0 else size
    if engine.parallel != "ring" and share > heads:
        yield InvalidRequest(
            f"{heads} heads cannot be shared by {share} devices.", option="parallel", hint="Set HIBARI_PARALLEL=ring."
        )
    rolling = model.card.rolling
    block = max(rolling.block if plan.windows and rolling else 1, config.get("num_frame_per_block") or 1)
    if engine.parallel == "ring" and block > 1:
        yield InvalidRequest(
            f"in {model.name} not every token looks at all others, as a ring has it.",
            option="parallel",
            hint="Set HIBARI_PARALLEL=ulysses.",
        )
