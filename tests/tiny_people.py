"""A pack of a few made people: kinds in every gender and skin tone, one in tones only, one in genders only, one thing.

The pictures are as plain as can be: a head in the tone's colour over a body in the gender's.
"""

from pathlib import Path

from PIL import Image, ImageDraw

from hibari.worlds import SpritePack
from hibari.worlds.looks import TONES
from hibari.worlds.pack import Entry, encode, write

YELLOW = (255, 200, 60)
SKINS = dict(zip(TONES, [(250, 222, 205), (240, 200, 160), (205, 155, 115), (150, 105, 75), (85, 58, 45)], strict=True))
CLOTHES = {"woman": (120, 70, 190), "man": (50, 130, 230), "neutral": (240, 120, 30)}
_MODIFIERS = dict(zip(TONES, ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"), strict=True))
_FIRST = {"woman": "1f469", "man": "1f468", "neutral": "1f9d1"}


def tiny_people(folder: Path) -> SpritePack:
    """Health workers, farmers and persons (18 looks each), waving hands (6), genies (3) and an octopus."""
    entries, strips = [], {}
    for kind, code, hat in (("health worker", "-200d-2695", 0), ("farmer", "-200d-1f33e", 1), ("person", "", 2)):
        for gender, first in _FIRST.items():
            for tone in ("", *TONES):
                name = f"{gender} {kind}" + (f" with {tone} skin tone" if tone else "")
                name = kind if (gender, tone) == ("neutral", "") else name
                modifier = f"-{_MODIFIERS[tone]}" if tone else ""
                entries.append(entry_of(name, f"{first}{modifier}{code}", tone))
                strips[name] = _picture(SKINS.get(tone, YELLOW), CLOTHES[gender], hat)
    for tone in ("", *TONES):
        name = "waving hand" + (f" with {tone} skin tone" if tone else "")
        entries.append(entry_of(name, "1f44b" + (f"-{_MODIFIERS[tone]}" if tone else ""), tone))
        strips[name] = _picture(SKINS.get(tone, YELLOW), SKINS.get(tone, YELLOW), 0)
    for name, code in (("genie", "1f9de"), ("woman genie", "1f9de-200d-2640"), ("man genie", "1f9de-200d-2642")):
        entries.append(entry_of(name, code, ""))
        strips[name] = _picture((60, 160, 230), CLOTHES["woman" if "woman" in name else "man"], 1)
    entries.append(entry_of("octopus", "1f419", "", group="animals-nature"))
    strips["octopus"] = _picture((230, 90, 40), (230, 90, 40), 0)
    return write(folder, entries, strips, "made for tests\n")


def entry_of(name: str, code: str, tone: str, group: str = "people-body") -> Entry:
    """An entry of the pack's index for one picture."""
    return Entry(
        name=name,
        label=name,
        code=code,
        group=group,
        tone=tone,
        tags=(),
        frames=1,
        width=72,
        height=96,
        offset=0,
        length=0,
    )


def _picture(skin: tuple[int, int, int], clothes: tuple[int, int, int], hat: int) -> bytes:
    picture = Image.new("RGBA", (72, 96))
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((4, 56, 68, 95), 14, fill=(*clothes, 255))
    pen.ellipse((10, 6, 62, 66), fill=(*skin, 255))
    pen.ellipse((22, 30, 28, 38), fill=(30, 20, 20, 255))
    pen.ellipse((44, 30, 50, 38), fill=(30, 20, 20, 255))
    pen.rectangle((14, 2, 58, 8 + 8 * hat), fill=((200, 30, 60, 255), (40, 160, 60, 255), (90, 60, 30, 255))[hat])
    return encode([picture])
