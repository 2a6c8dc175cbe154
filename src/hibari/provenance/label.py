"""The visible label on delivered frames: in words, that a machine made this. An operator may leave it out.

Letters are 5% of the shorter side, as China's rule (GB 45438-2025) asks of pictures. The marks that cannot be seen, and
that nobody can leave out, are the watermark's and the credentials' business.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np

    from hibari.media.fit import Frame

TEXT = "AI generated"
HEIGHT, LEAST_PIXELS = 0.05, 8  # of the shorter side, and pixels that letters need to be read
MARGIN = 0.6  # of the letters' height
PLATE = 0.55  # how dark the plate behind the letters is


@dataclass(frozen=True, kw_only=True)
class Label:
    """Words in the lower right corner, white on a darkened plate."""

    text: str = TEXT

    @classmethod
    def of(cls, wanted: bool) -> Self | None:
        """The label that the settings ask for."""
        return cls() if wanted else None

    def draw(self, frame: "Frame") -> "Frame":
        """A labelled copy of a uint8 (H, W, 3) frame."""
        import numpy as np

        height, width = frame.shape[:2]
        letters_HW = _letters(self.text, max(LEAST_PIXELS, round(HEIGHT * min(height, width))))
        rows, columns = min(letters_HW.shape[0], height), min(letters_HW.shape[1], width)
        letters_HW1 = letters_HW[:rows, :columns, None]
        labelled = frame.copy()
        corner = labelled[height - rows :, width - columns :]
        plate = corner * (1 - PLATE)
        corner[:] = np.round(plate + (255 - plate) * letters_HW1)
        return labelled


@lru_cache(maxsize=8)
def _letters(text: str, size: int) -> "np.ndarray":
    """How white each pixel of the plate is, 0 to 1; `size` is the height of a capital letter in pixels."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(round(size * 1.4))  # a capital is about 0.7 of a font's size
    left, top, right, bottom = font.getbbox(text)
    margin = round(MARGIN * size)
    plate = Image.new("L", (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin))
    ImageDraw.Draw(plate).text((margin - left, margin - top), text, fill=255, font=font)
    return np.asarray(plate, np.float32) / 255
