"""The visible label on delivered frames: in words, that a machine made this. An operator may leave it out.

It stands on every frame, so also at the start and for as long as a rule may ask. China's rule (GB 45438-2025) asks for
letters of 5% of the shorter side; elsewhere they are a little smaller. The marks that cannot be seen, and that nobody
can leave out, are the watermark's and the credentials' business.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hibari.config import Settings

if TYPE_CHECKING:
    import numpy as np
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from hibari.media.fit import Frame

MARGIN, PADDING = 0.8, 0.55  # around the plate and around the words in it, in heights of a capital
PLATE = 0.55  # how dark the plate behind the letters is
_CHINESE = Path(__file__).parent / "shipped" / "label-cn.otf"  # the glyphs of its words alone; NOTICE.txt is beside it


@dataclass(frozen=True, kw_only=True)
class Label:
    """Words in the lower right corner, white on a darkened plate.

    `height` is that of a capital letter, in shares of the shorter side, and `least` the pixels that it needs to be
    read; `font` is Pillow's own where it is None. `by_picture`: a picture that is put together from labelled ones needs
    one of its own too, since the rule asks for letters by its own size.
    """

    text: str = "AI generated"
    height: float = 0.035
    least: int = 8
    font: Path | None = None
    by_picture: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The label that the settings ask for; the words are those that the region's rules accept."""
        if settings.region == "cn":
            # Both parts are asked for: what made it ("AI") and that it was made ("生成").
            return cls(text="AI生成", height=0.05, least=9, font=_CHINESE, by_picture=True)
        return cls() if settings.label == "on" else None

    def draw(self, frame: "Frame") -> "Frame":
        """A labelled copy of a uint8 (H, W, 3) frame."""
        import numpy as np

        height, width = frame.shape[:2]
        capital = max(self.least, ceil(self.height * min(height, width)))
        plate_HW, letters_HW = (part[:height, :width, None] for part in _plate(self.text, self.font, capital))
        rows, columns = plate_HW.shape[:2]
        bottom = max(rows, height - round(MARGIN * capital))
        right = max(columns, width - round(MARGIN * capital))
        labelled = frame.copy()
        corner = labelled[bottom - rows : bottom, right - columns : right]
        darkened = corner * (1 - PLATE * plate_HW)
        corner[:] = np.round(darkened + (255 - darkened) * letters_HW)
        return labelled


@lru_cache(maxsize=8)
def _plate(text: str, face: Path | None, capital: int) -> "tuple[np.ndarray, np.ndarray]":
    """How much of the plate, and of the letters, each of its pixels is, 0 to 1; `capital` is a letter's height."""
    import numpy as np
    from PIL import Image, ImageDraw

    font = _font(face, capital)
    text = text.replace(" ", "  ")  # one space is no wider than the gaps between small letters
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    padding = round(PADDING * capital)
    size = (right - left + 2 * padding, bottom - top + 2 * padding)
    letters = Image.new("L", size)
    ImageDraw.Draw(letters).text((padding - left, padding - top), text, fill=255, font=font)
    finer = 4  # drawn larger and made smaller, because Pillow's corners have stairs
    plate = Image.new("L", (size[0] * finer, size[1] * finer))
    box = (0, 0, plate.width - 1, plate.height - 1)
    ImageDraw.Draw(plate).rounded_rectangle(box, radius=padding * finer, fill=255)
    parts = (plate.resize(size, Image.Resampling.BOX), letters)
    shares = [np.asarray(part, np.float32) / 255 for part in parts]
    return shares[0], shares[1]


def _font(face: Path | None, capital: int) -> "FreeTypeFont | ImageFont":
    """A font in the smallest size whose capital letters fill `capital` rows of pixels at least by half."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    for size in range(capital, 3 * capital + 2):
        font = ImageFont.load_default(size) if face is None else ImageFont.truetype(str(face), size)
        letter = Image.new("L", (size, 2 * size))
        ImageDraw.Draw(letter).text((0, 0), "I", fill=255, font=font)
        if (np.asarray(letter).max(1) > 127).sum() >= capital:
            return font
    raise AssertionError("a capital is at least a third of its font's size")
