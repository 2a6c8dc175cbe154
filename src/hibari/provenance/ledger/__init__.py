"""What the house remembers of everything that it made: the ledger, the review queue, and a person's rights to both."""

from hibari.provenance.ledger.entry import Delivery, Entry, Making, Screening, Source
from hibari.provenance.ledger.held_files import HeldFiles
from hibari.provenance.ledger.ledger import Ledger
from hibari.provenance.ledger.person import Erasure
from hibari.provenance.ledger.reviews import HeldItem, Reviews, Ruling

__all__ = [
    "Delivery",
    "Entry",
    "Erasure",
    "HeldFiles",
    "HeldItem",
    "Ledger",
    "Making",
    "Reviews",
    "Ruling",
    "Screening",
    "Source",
]
