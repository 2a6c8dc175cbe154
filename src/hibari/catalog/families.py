"""What is known of the families of video pipelines that diffusers runs: facts that no file of theirs states.

Sizes, lengths, steps, guidance and a frame rate that a pipeline's call states stand there, and not here. A model's
`hibari.json` stands over all. Sources: diffusers 0.42, docs/source/en/api/pipelines, and the example, the checks and
the VAE of each pipeline; of LTX the 257 frames of its README, of LTX-2 the 10 seconds that docs.ltx.video gives for
every model of it, of HunyuanVideo (24 a second, sizes) and SkyReels-V1 their READMEs, of Mochi its 163 frames at 30.
"""

from dataclasses import dataclass

from hibari.shapes import Strides

_480P_AND_720P = ("832x480", "480x832", "624x624", "1280x720", "720x1280")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family's habits: its frame rate, the most frames that it learned, and how it divides a video.

    `fps` counts where the pipeline's call states none. `frames` is 0 where the pipeline's default says it. `window` is
    how many frames one walk through the steps makes, 0 where all come in one. `prefix` begins the classes' names.
    """

    prefix: str = ""
    fps: int = 16
    frames: int = 0
    strides: Strides
    sizes: tuple[str, ...] = ()
    window: int = 0
    about: str = ""


def _strides(time: int, space: int, patch: int, channels: int) -> Strides:
    return Strides(time=time, space=space, patch=(1, patch, patch), channels=channels)


FAMILIES = (
    Family(
        prefix="LTX2",
        fps=24,
        frames=241,
        strides=_strides(8, 32, 1, 128),
        about="The sound that it makes too is left out.",
    ),
    Family(prefix="LTX", fps=25, frames=257, strides=_strides(8, 32, 1, 128)),
    Family(
        prefix="HunyuanVideo15",
        fps=24,
        frames=121,
        strides=_strides(4, 16, 1, 32),
        sizes=_480P_AND_720P,
    ),
    Family(prefix="HunyuanVideoFramepack", fps=30, strides=_strides(4, 8, 2, 16), window=33),
    Family(
        prefix="HunyuanVideo",
        fps=24,
        frames=129,
        strides=_strides(4, 8, 2, 16),
        sizes=("1280x720", "720x1280", "960x960", "960x544", "544x960", "720x720"),
    ),
    Family(prefix="HunyuanSkyreels", fps=24, frames=97, strides=_strides(4, 8, 2, 16)),
    Family(prefix="CogVideoX", fps=8, frames=49, strides=_strides(4, 8, 2, 16), sizes=("720x480",)),
    Family(prefix="ConsisID", fps=8, frames=49, strides=_strides(4, 8, 2, 16), sizes=("720x480",)),
    Family(prefix="EasyAnimate", fps=8, frames=49, strides=_strides(4, 8, 2, 16)),
    Family(prefix="Kandinsky5", fps=24, strides=_strides(4, 8, 2, 16)),
    Family(prefix="MotifVideo", fps=24, strides=_strides(4, 8, 2, 16)),
    Family(prefix="Mochi", fps=30, frames=163, strides=_strides(6, 8, 2, 12), sizes=("848x480",)),
    Family(prefix="Wan", fps=16, frames=81, strides=_strides(4, 8, 2, 16), sizes=_480P_AND_720P),
    Family(prefix="Helios", fps=24, frames=1449, strides=_strides(4, 8, 2, 16), window=33),
    Family(prefix="Cosmos2", fps=16, strides=_strides(4, 8, 2, 16)),
    Family(prefix="Cosmos", fps=30, strides=_strides(8, 8, 2, 16)),
    # It learned 22 latent frames, which are 88 frames, or 85 where the first stands alone as it does here.
    Family(prefix="Allegro", fps=15, frames=85, strides=_strides(4, 8, 2, 4), sizes=("1280x720",)),
    Family(prefix="AnimateDiff", fps=8, frames=16, strides=_strides(1, 8, 1, 4), sizes=("512x512",)),
    Family(prefix="Latte", fps=8, frames=16, strides=_strides(1, 8, 2, 4)),
)
UNKNOWN = Family(strides=_strides(8, 32, 1, 16))
"""Any other: lengths and sides that suit every causal VAE here, and no longer than the pipeline makes by itself."""


def family_of(pipeline: str) -> Family:
    """The family of a pipeline's class."""
    return next((each for each in FAMILIES if pipeline.startswith(each.prefix)), UNKNOWN)
