"""The prompt screen of an installation: the policy's, with the text encoder that its classifier learned with."""

from typing import TYPE_CHECKING

from hibari import catalog
from hibari.config import Settings
from hibari.errors import Refused, UnknownModel, install
from hibari.provenance.places import SAFETY
from hibari.safety import Policy
from hibari.safety.classifier import sentence_vectors
from hibari.safety.guard import FolderGuard, guard_folder
from hibari.safety.prompts import PromptScreen

if TYPE_CHECKING:
    from hibari.model.text import MiniLMTextEncoder

SENTENCES_BY = "hibari-mini"


def prompt_screen(policy: Policy, settings: Settings) -> PromptScreen:
    """The screen with every part loaded, and the guard model of the data folder where there is one; raises Refused."""
    folder = guard_folder(settings.home / SAFETY)
    guards = [] if folder is None else [FolderGuard.load(folder)]
    return PromptScreen(policy, sentence_vectors(_sentence_encoder(settings)), guards=guards)


def _sentence_encoder(settings: Settings) -> "MiniLMTextEncoder":
    from hibari.model.text import MiniLMTextEncoder

    try:
        folder = catalog.find(SENTENCES_BY, settings).folder
    except UnknownModel as error:
        raise Refused(
            f"the prompt screen reads with the text encoder of {SENTENCES_BY}, which is not installed.",
            hint=f"{install()} brings it.",
        ) from error
    return MiniLMTextEncoder.load(folder)
