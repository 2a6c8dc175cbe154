"""What a plan will take on this machine, and in which way it is made so that it fits; known before torch is loaded."""

from dataclasses import dataclass, fields
from typing import Any

from hibari import catalog, machine
from hibari.config import EngineSettings, Settings, launch
from hibari.errors import InvalidRequest
from hibari.generate.calibration import Calibration
from hibari.generate.calibration import measure as _measure
from hibari.generate.fit import Decoding, Fit
from hibari.generate.fit import Storage as _Storage
from hibari.generate.fitting import GB, Fitted, Fitting, Room, Wanted
from hibari.generate.forecast import Where
from hibari.generate.plan import Plan
from hibari.produce.devices import check_devices

__all__ = [
    "Calibration",
    "Fit",
    "Fitted",
    "Made",
    "as_values",
    "calibrate",
    "fit_plan",
    "in_words",
    "made_in",
]
NOT_KNOWN = "not known yet; `hibari doctor` measures this machine"

STORAGE, DECODING = "storage", "decoding"  # in the request that is kept, where they were not the plain way


@dataclass(frozen=True, kw_only=True)
class Made:
    """What an earlier making's numbers depend on of how it fitted, so that it can be made again, bit for bit.

    Where weights lay changes nothing. `decoding` None leaves open how its latents are decoded, and `ran_out` says that
    memory ran out on the way: the first frames were decoded in another way then.
    """

    storage: _Storage = "exact"
    decoding: Decoding | None = None
    ran_out: bool = False

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Made":
        """As it stands in a request that was kept."""
        said = dict(values.get(DECODING) or {})
        ran_out = said.pop("ran_out", False)
        return cls(storage=values.get(STORAGE, Fit().storage), decoding=Decoding(**said), ran_out=ran_out)


def made_in(fit: Fit, *, ran_out: bool = False) -> dict[str, Any]:
    """What is recorded of how a model was held and its latents were decoded; nothing of the plain way."""
    plain = Fit()
    facts: dict[str, Any] = {STORAGE: fit.storage} if fit.storage != plain.storage else {}
    if ran_out or fit.decoding != plain.decoding:
        facts[DECODING] = fit.decoding._asdict() | {"ran_out": ran_out}
    return facts


def fit_plan(model: catalog.Model, plan: Plan, settings: Settings, made: Made | None = None) -> Fitted | None:
    """How a plan is made here; None where that is not ours to choose. Raises InvalidRequest where nothing fits.

    diffusers places the models that it runs itself, and several devices share a model whole. What was `made` is made
    in the same way again, or refused.
    """
    if made is not None:
        _check_again(made, settings.engine)
    if launch().size > 1:
        check_devices(model, plan, settings.engine, launch().size)
        return None
    if model.form.backend != "native":
        _check_engine(model, settings.engine)
        return None
    engine, rates = settings.engine, Calibration.load(settings.home)
    device = machine.likely_device(settings.device)
    where = Where(device=device, dtype=machine.likely_dtype(settings.dtype, device))
    known = rates is not None and (rates.device.split(":")[0], rates.dtype) == (where.device, where.dtype)
    given = engine.memory * GB
    on_card = float(rates.memory) if rates is not None and known else 0.0
    room = Room(
        main=given if given and not where.on_accelerator else float(machine.free_bytes()),
        accelerator=(given or on_card) if where.on_accelerator else 0.0,
    )
    wanted = Wanted(storage=engine.storage, offload=engine.offload)
    if made is not None:
        wanted = Wanted(storage=made.storage, offload=engine.offload, decoding=made.decoding)
    return Fitting(model=model, wanted=wanted, where=where, room=room, rates=rates if known else None).fit(plan)


def _check_again(made: Made, engine: EngineSettings) -> None:
    """Raise InvalidRequest where what was made cannot be made in the same way again."""
    said = str(Fit(storage=made.storage, **(made.decoding or Decoding())._asdict()))
    if said and launch().size > 1:
        raise InvalidRequest(f"it was made with {said}.", option="parallel", hint="Leave out torchrun.")
    if made.storage != "exact" and engine.offload == "disk":
        raise InvalidRequest(
            f"it was made with weights as {made.storage}; those from the disk come as they are.",
            option="offload",
            hint="Leave it out.",
        )


def _check_engine(model: catalog.Model, engine: EngineSettings) -> None:
    """Raise InvalidRequest for a way of computing that would have no effect, where diffusers runs the model."""
    usual = EngineSettings()
    for name in (each.name for each in fields(EngineSettings)):
        if getattr(engine, name) != getattr(usual, name):
            raise InvalidRequest(
                f"it has no effect with {model.name}, which diffusers runs.",
                option=name,
                hint="Leave it out.",
            )


def calibrate(settings: Settings) -> Calibration:
    """Measure this machine and keep it in the data folder; raises OutputError."""
    import torch

    device = machine.pick_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    model = catalog.find(settings.model, settings)
    rates = _measure(device, machine.pick_dtype(settings.dtype, device), model.files[0])
    settings.ensure_home()
    rates.keep(settings.home)
    return rates


def as_values(fitted: Fitted) -> dict[str, Any]:
    """What is foreseen, as plain values for JSON: memory in bytes by stage, time in seconds; None is not known."""
    forecast = fitted.forecast
    return {
        "storage": fitted.fit.storage,
        "offload": fitted.fit.offload,
        "tile": fitted.fit.tile,
        "by_tile": fitted.fit.by_tile,
        "decoded_at_once": fitted.fit.frames,
        "peak": round(forecast.peak),
        "free": round(fitted.free) or None,
        "memory": {name: round(size) for name, size in forecast.main.items()},
        "accelerator_memory": {name: round(size) for name, size in forecast.accelerator.items()},
        "seconds": None if forecast.seconds is None else {n: round(s, 2) for n, s in forecast.seconds.items()},
    }


def in_words(fitted: Fitted) -> str:
    """The way that was chosen in one line, where it is not the plain one; empty where it is."""
    said = str(fitted.fit)
    return f"held in memory ({fitted.forecast.peak / GB:.1f} GB foreseen): {said}" if said else ""
