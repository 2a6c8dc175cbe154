"""What a plan costs: work in units of a million token passes, and seconds of video; not how long that takes.

The API and its workers count alike.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hibari.catalog import Model
    from hibari.produce.job import Plan

_LONG_SEQUENCE = 8192  # tokens at which attention costs as much as all the rest
_PIXELS = 1e8  # delivered pixels that cost as much to decode, mark and encode as one unit


def work(model: "Model", plan: "Plan") -> float:
    """The units of work in a plan: token passes of the transformer, with attention's square, and the pixels after."""
    latent = model.strides.latent(plan.render)
    tokens = model.strides.grid(latent._replace(frames=plan.at_once(latent.frames))).tokens
    passes = plan.visits * (2 if plan.guidance > 1 else 1)
    pixels = plan.delivered.width * plan.delivered.height * len(plan.picks)
    return passes * tokens * (1 + tokens / _LONG_SEQUENCE) / 1e6 + pixels / _PIXELS


def counted_seconds(plan: "Plan") -> float:
    """What a plan counts as against the seconds of a day: the frames that are made, at the rate they are shown at.

    Of an extension these are the new ones, of an edit or a remix the clip's, and a picture is one.
    """
    return len(plan.picks) / plan.fps
