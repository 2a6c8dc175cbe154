"""UMT5 as the text encoder of the published models, run by transformers, which is imported when one is loaded.

Prompts are cleaned as diffusers' WanPipeline does it (mended text, HTML entities, single spaces), so that equal prompts
give equal states; one that diffusers would cut without a word is refused. The states of padding, which Wan replaces by
zeros, are not computed.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hibari.errors import BadWeights, InvalidRequest, MissingDependency, install
from hibari.model.pretrained import EXTRA, load_pretrained, load_tokenizer
from hibari.model.quantised import Kind

MAX_TOKENS = 512  # with the one that ends each prompt


class UMT5TextEncoder:
    """Prompts to token states, one (n,D) tensor each, n at most MAX_TOKENS."""

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer

    @classmethod
    def load(
        cls,
        place: Path,
        tokenizer: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        storage: Kind = "exact",
    ) -> "UMT5TextEncoder":
        """Read an encoder (a folder, or an original's file) and a tokenizer; raises BadWeights or MissingDependency.

        `storage` says how the linear layers of its blocks are kept.
        """
        made = load_tokenizer(tokenizer)
        encoder = load_pretrained("UMT5EncoderModel", place, device, dtype, storage)
        if len(made) > (rows := encoder.get_input_embeddings().num_embeddings):
            raise BadWeights(f"{tokenizer}: a tokenizer of {len(made)} tokens, and the text encoder knows {rows}.")
        return cls(encoder, made)

    @torch.inference_mode()
    def encode(self, prompts: Sequence[str], *, option: str = "prompt") -> list[Tensor]:
        """States (n,D) of each prompt in the encoder's dtype, on its device.

        Raises InvalidRequest that names `option` where one is too long.
        """
        return [self._states(clean(prompt), option) for prompt in prompts]

    def _states(self, prompt: str, option: str) -> Tensor:
        ids = self.tokenizer(prompt, verbose=False).input_ids
        if len(ids) > MAX_TOKENS:
            raise InvalidRequest(
                f"The {option} is {len(ids) - 1} tokens long; at most {MAX_TOKENS - 1} are read.",
                option=option,
                hint="A token is a short word or a part of a long one.",
            )
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
