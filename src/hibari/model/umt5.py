"""UMT5 as the text encoder of the published models, run by transformers, which is imported when one is loaded.

Prompts are cleaned and cut as diffusers' WanPipeline does it (mended text, HTML entities, single spaces; 512 tokens),
so that equal prompts give equal states. The states of padding, which Wan replaces by zeros, are not computed.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hibari.errors import MissingDependency, install
from hibari.model.pretrained import EXTRA, load_pretrained, load_tokenizer

MAX_TOKENS = 512  # with the one that ends each prompt; Wan drops the rest


class UMT5TextEncoder:
    """Prompts to token states, one (n,D) tensor each, n at most MAX_TOKENS."""

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer

    @classmethod
    def load(
        cls, place: Path, tokenizer: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.bfloat16
    ) -> "UMT5TextEncoder":
        """Read an encoder (a folder, or an original's file) and a tokenizer; raises BadWeights or MissingDependency."""
        made = load_tokenizer(tokenizer)
        return cls(load_pretrained("UMT5EncoderModel", place, device, dtype), made)

    @torch.inference_mode()
    def encode(self, prompts: Sequence[str], *, option: str = "prompt") -> list[Tensor]:  # noqa: ARG002  # it cuts
        """States (n,D) of each prompt in the encoder's dtype, on its device."""
        return [self._states(clean(prompt)) for prompt in prompts]

    def _states(self, prompt: str) -> Tensor:
        ids = self.tokenizer(prompt, truncation=True, max_length=MAX_TOKENS).input_ids
        states_BLD: Tensor = self.encoder(torch.tensor([ids], device=self.encoder.device)).last_hidden_state
        return states_BLD[0]


def clean(prompt: str) -> str:
    """A prompt as Wan's encoder was shown prompts; raises MissingDependency."""
    try:
        import ftfy
    except ImportError as error:
        raise MissingDependency("Wan's prompts are mended by ftfy, which is not here.", hint=install(EXTRA)) from error
    mended = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    return re.sub(r"\s+", " ", mended).strip()
