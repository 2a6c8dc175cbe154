"""Whether a request is made by a model's fast version, or by the full one. No torch here.

The fast version took its steps in at training: it knows the few noise levels of its own schedule, and at each the way
to the next. What would put it elsewhere is the full one's to make.
"""

from hibari.catalog import Fast, Model, is_fast
from hibari.errors import InvalidRequest
from hibari.request import GenerationRequest


def choose_fast(request: GenerationRequest, model: Model, *, windows: bool) -> tuple[Fast | None, list[str]]:
    """The fast version where it makes the request, and what there is to say; raises InvalidRequest.

    Who asks for it gets it or is refused; where it is merely the default, the full one takes over and says why.
    """
    fast = model.card.fast
    if fast is None:
        if request.fast:
            raise InvalidRequest(f"{model.name} has no fast version.", option="fast", hint="Leave it out.")
        return None, []
    if any(is_fast(use, model) for use in request.loras):
        if request.fast:
            raise InvalidRequest(f"{fast.name} is laid on already.", option="fast", hint="Leave out one of the two.")
        return None, []
    if request.fast is False or not (request.fast or fast.default):
        return None, []
    obstacle = _obstacle(request, fast, windows=windows)
    if obstacle is None:
        return fast, []
    option, why = obstacle
    if request.fast:
        raise InvalidRequest(
            f"the fast version of {model.name} cannot: {why}.", option=option, hint="The full version can."
        )
    return None, [f"made by the full version: {why}"]


def solver_of(request: GenerationRequest, model: Model) -> str:
    """The solver of what the full version makes: the fast version's file, laid on by hand, brings its own."""
    fast = model.card.fast
    if fast is not None and any(is_fast(use, model) for use in request.loras):
        return fast.solver
    return model.card.solver


def _obstacle(request: GenerationRequest, fast: Fast, *, windows: bool) -> tuple[str, str] | None:
    """The option that the fast version cannot follow, and why; None where it can make the request."""
    edits = request.video is not None and not request.extend and request.strength is None
    between = edits or request.strength not in (None, 0, 1)
    found = (
        (request.steps not in (None, fast.steps), "steps", f"it takes {fast.steps} steps"),
        (request.guidance not in (None, fast.guidance), "guidance", "guidance is in its weights"),
        (request.negative != "", "negative", "it moves away from nothing"),
        (request.flow_shift is not None, "flow_shift", "its noise levels are fixed"),
        (str(request.shortcuts) != "", "shortcuts", "there are no steps to save"),
        (between, "strength", "what is redrawn starts between its noise levels"),
        (windows, "seconds", "it does not go window by window"),
    )
    return next(((option, why) for is_so, option, why in found if is_so), None)
