"""The door that every file passes: the parts that screen, mark, sign and record, opened and tried before any work.

`passage.py` is one file's way through them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hibari.config import Settings
from hibari.media.files import sweep
from hibari.produce import unfinished
from hibari.produce.screens import prompt_screen
from hibari.provenance.house import House, house_of
from hibari.provenance.keyfiles import ensure_private_folder
from hibari.provenance.label import Label
from hibari.provenance.ledger import Ledger, Reviews
from hibari.provenance.places import HELD, INDEX, SAFETY, WORKSHOP, ledger_url
from hibari.provenance.region import Region
from hibari.safety import Policy
from hibari.safety.faces import FaceFinder
from hibari.safety.frames import FrameScreen
from hibari.safety.prompts import PromptScreen
from hibari.store import Store


@dataclass(frozen=True, kw_only=True)
class Door:
    """The parts that a file passes, and whose file it is."""

    home: Path
    user: str
    prompts: PromptScreen
    frames: FrameScreen
    faces: FaceFinder
    house: House
    ledger: Ledger
    reviews: Reviews
    label: Label | None
    region: Region

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open every part in the data folder; raises what is wrong with one, before anything is generated."""
        home = settings.ensure_home()
        for folder in (ensure_private_folder(home / WORKSHOP), home / HELD):
            sweep(folder)
        unfinished.sweep(home)
        policy = Policy.load(settings.policy)
        # Keys before models: what an operator set wrongly is said at once.
        store = Store.open(ledger_url(settings))
        house = house_of(settings, store)
        house.join()
        house.authority.rehearse()
        return cls(
            home=home,
            user=settings.who,
            prompts=prompt_screen(policy, settings),
            frames=FrameScreen.load(policy, home / SAFETY),
            faces=FaceFinder(),
            house=house,
            ledger=Ledger(store, home / INDEX),
            reviews=Reviews(store),
            label=Label.of(settings),
            region=Region.of(settings),
        )

    @property
    def workshop(self) -> Path:
        """The private folder of what is not signed yet."""
        return self.home / WORKSHOP
