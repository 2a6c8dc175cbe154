"""Choosing how a generation fits into a machine's memory, or saying what would, before anything is loaded. No torch.

What is exact comes first: the whole model, then one large part at a time, then layers that come as they are used; of
each the way to decode that takes least time. Weights in a byte each change the picture a little, so they are taken only
where the settings say so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import floor

from hibari.catalog import Model
from hibari.errors import InvalidRequest
from hibari.generate.anatomy import Anatomy, anatomy_of
from hibari.generate.calibration import Calibration
from hibari.generate.fit import Decoding, Fit, Offload, Storage
from hibari.generate.forecast import Forecast, Where, foresee
from hibari.generate.plan import Plan
from hibari.request import Size
from hibari.shapes import VideoShape

ROOM = 0.9  # of the memory that is free or given which a generation may take: forecasts are not exact
GB = 1e9
SHORTER = 16  # parts of the seconds, which are tried from the most to the least


@dataclass(frozen=True, kw_only=True)
class Room:
    """What is free, or the settings give, in bytes: of main memory, and of an accelerator (0: not known yet)."""

    main: float
    accelerator: float = 0.0

    def shares(self, forecast: Forecast) -> tuple[float, float]:
        """What a generation takes of main memory and of the accelerator's, as shares of what is free."""
        on_card = forecast.peak / self.accelerator if forecast.accelerator and self.accelerator else 0.0
        return forecast.peak_main / self.main, on_card

    def holds(self, forecast: Forecast) -> bool:
        """Whether a generation has room."""
        return max(self.shares(forecast)) <= ROOM


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the settings say of how a model is held; "auto" leaves it open.

    `decoding`: what is made again is decoded as it was.
    """

    storage: str = "exact"
    offload: str = "auto"
    decoding: Decoding | None = None

    def ways(self, where: Where) -> Iterator[Fit]:
        """Ways to hold a model, the best first."""
        storages: list[Storage] = ["exact", "int8"] if self.storage == "auto" else [self.storage]  # type: ignore[list-item]
        offloads: list[Offload] = ["none", "parts", "cpu"] if where.on_accelerator else ["none", "parts"]
        if self.offload != "auto":
            offloads = [self.offload]  # type: ignore[list-item]
        for storage in storages:
            for offload in offloads:
                if storage == "exact" or offload != "disk":  # a file is streamed as it is
                    yield Fit(storage=storage, offload=offload)
        if self.offload == "auto" and "exact" in storages:
            yield Fit(offload="disk")

    def decodings(self, held: Fit) -> Iterator[Fit]:
        """Ways to decode with a model that is held so, the best first."""
        if self.decoding is not None:
            yield replace(held, **self.decoding._asdict())
            return
        fit: Fit | None = held
        while fit is not None:
            yield fit
            fit = fit.smaller


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """How a generation is to be made, what it is foreseen to take, and what is free."""

    fit: Fit
    forecast: Forecast
    room: Room

    @property
    def free(self) -> float:
        """Bytes that the computing device has for it; 0 where that is not known."""
        return self.room.accelerator if self.forecast.accelerator else self.room.main

    @property
    def has_room_for_previews(self) -> bool:
        """Whether the VAE has room beside what walks; where one part is held at a time it may not."""
        return not self.free or self.forecast.preview <= ROOM * self.free

    def has_room_beside(self, others: "Sequence[Fitted]") -> bool:
        """Whether it has room while others are held too, each of which takes the least that it ever does."""
        main = self.room.main - sum(min(other.forecast.main.values()) for other in others)
        card = self.room.accelerator - sum(min(other.forecast.accelerator.values(), default=0.0) for other in others)
        if main <= 0 or (card <= 0 and self.room.accelerator):
            return False
        return Room(main=main, accelerator=card if self.room.accelerator else 0.0).holds(self.forecast)


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """One model on one machine: what of its plans has room, and in which way."""

    model: Model
    wanted: Wanted
    where: Where
    room: Room
    rates: Calibration | None = None

    def fit(self, plan: Plan) -> Fitted:
        """The first way that has room; raises InvalidRequest, which says what would fit, where none has."""
        found = self._first(plan)
        if found is not None:
            return found
        least = min((self._foresee(plan, fit) for fit in self._ways()), key=lambda each: max(self.room.shares(each)))
        of_main, of_card = self.room.shares(least)
        on_main = of_main >= of_card
        free = self.room.main if on_main else self.room.accelerator
        needs = least.peak_main if on_main else least.peak
        size = Size(plan.render.width, plan.render.height)
        length = f" for {plan.made_seconds:g} s" if plan.made_seconds else ""
        raise InvalidRequest(
            f"{size}{length} by {self.model.name} takes {needs / GB:.3g} GB at the least; "
            f"{ROOM * free / GB:.3g} GB may be taken, {ROOM:g} of {free / GB:.3g} GB.",
            option="memory",
            hint=self._way_out(plan),
        )

    def _way_out(self, plan: Plan) -> str:
        """What to do where nothing has room."""
        if self.wanted.decoding is not None:
            said = str(Fit(storage=self.wanted.storage, **self.wanted.decoding._asdict()))  # type: ignore[arg-type]
            return f"It has to be made as it was{said and f', {said}'}: make room, or generate it anew."
        others = self._what_fits(plan)
        if self.wanted.storage == "exact" and self.wanted.offload != "disk":
            in_bytes = replace(self, wanted=replace(self.wanted, storage="int8"))
            others += ["storage int8, which changes the picture a little"] if in_bytes._first(plan) else []
        return f"What fits: {', or '.join(others)}." if others else "Nothing of this model fits; a smaller one may."

    @cached_property
    def _anatomy(self) -> Anatomy:
        return anatomy_of(self.model)

    def _foresee(self, plan: Plan, fit: Fit) -> Forecast:
        return foresee(self.model, self._anatomy, plan, fit, self.where, self.rates)

    def _first(self, plan: Plan) -> Fitted | None:
        for fit in self._ways():
            forecast = self._foresee(plan, fit)
            if self.room.holds(forecast):
                return Fitted(fit=fit, forecast=forecast, room=self.room)
        return None

    def _ways(self) -> Iterator[Fit]:
        """Every way to hold the model, each with every way to decode."""
        for held in self.wanted.ways(self.where):
            yield from self.wanted.decodings(held)

    def _what_fits(self, plan: Plan) -> list[str]:
        """Fewer seconds of this size, and the largest smaller size of this length, that have room."""
        ways, strides, card, render = [], self.model.strides, self.model.card, plan.render
        for part in range(SHORTER - 1, 0, -1):
            frames = strides.frames_at_least(max(1, render.frames * part // SHORTER))
            if 1 < frames < render.frames and self._first(replace(plan, render=render._replace(frames=frames))):
                ways.append(f"{floor(10 * (frames - 1) / card.fps) / 10:g} seconds or less")
                break
        smaller = [size for size in card.sizes if size.width * size.height < render.width * render.height]
        for size in sorted(smaller, key=lambda each: -each.width * each.height):
            if self._first(replace(plan, render=VideoShape(render.frames, size.height, size.width))):
                ways.append(f"size {size.width * card.upscale}x{size.height * card.upscale}")
                break
        return ways
