"""The text encoder of hibari-mini: token states of all-MiniLM-L6-v2, with its tokenizer. Frozen, never trained here.

The forward is written out (BERT, Devlin et al. 2019, arXiv 1810.04805) because importing transformers' BertModel
takes longer than everything else between the shell's prompt and the first denoising step; the weights stay in the
folder form that transformers and diffusers open, and a test holds the states to theirs.

Legend: B prompts of one length, L tokens, D width, N heads, K head width.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from hibari.errors import BadWeights, InvalidRequest
from hibari.model.attention import attend


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The sizes of a BERT, under the names of its config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float


class BertLayer(nn.Module):
    """Self-attention and a feed-forward part, each added to its input and normalised after."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.attended = nn.Linear(width, width)
        self.attended_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.widen = nn.Linear(width, config.intermediate_size)
        self.narrow = nn.Linear(config.intermediate_size, width)
        self.narrow_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, x_BLD: Tensor) -> Tensor:
        q_BLNK, k_BLNK, v_BLNK = (
            linear(x_BLD).unflatten(-1, (self.num_heads, -1)) for linear in (self.query, self.key, self.value)
        )
        x_BLD = self.attended_norm(x_BLD + self.attended(attend(q_BLNK, k_BLNK, v_BLNK).flatten(2)))
        y_BLD: Tensor = self.narrow_norm(x_BLD + self.narrow(F.gelu(self.widen(x_BLD))))
        return y_BLD


class Bert(nn.Module):
    """A BERT encoder without pooler: token numbers (B,L) to states (B,L,D). Prompts of one length need no mask."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.words = _table(config.vocab_size, config.hidden_size)
        self.positions = _table(config.max_position_embeddings, config.hidden_size)
        self.segments = _table(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, ids_BL: Tensor) -> Tensor:
        x_BLD: Tensor = self.words(ids_BL) + self.positions.weight[: ids_BL.shape[1]] + self.segments.weight[0]
        x_BLD = self.norm(x_BLD)
        for layer in self.layers:
            x_BLD = layer(x_BLD)
        return x_BLD


def _table(rows: int, width: int) -> nn.Embedding:
    """An embedding with no values yet. Drawing them would, on meta, load all of torch's compiler: 1.7 s."""
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))


STEM_KEYS = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
}
LAYER_KEYS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "narrow_norm": "output.LayerNorm",
}
POOLER_KEYS = frozenset({"pooler.dense.weight", "pooler.dense.bias"})
"""Published with the encoder, for a pooled vector; it confuses left with right, so it is not used here."""


class MiniLMTextEncoder:
    """Prompts to token states, one (n,D) tensor each: special tokens are kept, padding there is none."""

    def __init__(self, bert: Bert, tokenizer: Tokenizer) -> None:
        self.bert = bert
        self.tokenizer = tokenizer

    @classmethod
    def load(
        cls, folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "MiniLMTextEncoder":
        """Read text_encoder/ and tokenizer/ of a diffusers folder; raises BadWeights where they do not fit."""
        tokenizer = _read_tokenizer(folder / "tokenizer" / "tokenizer.json")
        bert = load_bert(folder / "text_encoder", device=device, dtype=dtype)
        if tokenizer.get_vocab_size() != bert.words.num_embeddings:
            raise BadWeights(f"{folder}: the tokenizer has {tokenizer.get_vocab_size()} tokens, the encoder others.")
        return cls(bert, tokenizer)

    @property
    def max_tokens(self) -> int:
        """The longest prompt, counted in tokens with both special ones."""
        return self.bert.positions.num_embeddings

    @property
    def width(self) -> int:
        """Numbers per token state, D; the `text_dim` of a transformer that reads them."""
        return self.bert.words.embedding_dim

    def tokenize(self, prompts: Sequence[str], *, option: str = "prompt") -> list[list[int]]:
        """Token numbers of each prompt; raises InvalidRequest that names `option` where one is too long."""
        encodings = self.tokenizer.encode_batch(list(prompts))
        for encoding in encodings:
            if len(encoding.ids) > self.max_tokens:
                raise InvalidRequest(
                    f"The {option} is {len(encoding.ids) - 2} tokens long; at most {self.max_tokens - 2} are read.",
                    option=option,
                    hint="A token is a short word or a part of a long one.",
                )
        return [encoding.ids for encoding in encodings]

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], *, option: str = "prompt") -> list[Tensor]:
        """States (n,D) of each prompt in the encoder's dtype, on its device; raises as `tokenize` does."""
        ids = self.tokenize(prompts, option=option)
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, tokens in enumerate(ids):
            by_length[len(tokens)].append(index)
        states: dict[int, Tensor] = {}
        for indices in by_length.values():
            ids_BL = torch.tensor([ids[index] for index in indices], device=self.bert.words.weight.device)
            states |= zip(indices, self.bert(ids_BL).unbind(), strict=True)
        return [states[index] for index in range(len(ids))]


def load_bert(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> Bert:
    """A Bert from config.json and model.safetensors, with every key accounted for; raises BadWeights."""
    config = _read_config(folder / "config.json")
    with torch.device("meta"):
        bert = Bert(config)
    expected = {_their_key(key): key for key in bert.state_dict()}
    path = folder / "model.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadWeights(f"{path} cannot be read: {error}.") from error
    if wrong := (tensors.keys() - POOLER_KEYS) ^ expected.keys():
        raise BadWeights(f"{path} is not this text encoder: {len(wrong)} keys differ, such as {min(wrong)}.")
    for theirs, ours in expected.items():
        if tensors[theirs].shape != bert.get_parameter(ours).shape:
            raise BadWeights(f"{path}: {theirs} has shape {tuple(tensors[theirs].shape)}, not that of config.json.")
    state = {ours: tensors[theirs].to(device=device, dtype=dtype) for theirs, ours in expected.items()}
    bert.load_state_dict(state, strict=True, assign=True)
    return bert.requires_grad_(False).eval()


def _their_key(ours: str) -> str:
    """The published key of one of our parameters."""
    module, kind = ours.rsplit(".", 1)
    if module in STEM_KEYS:
        return f"{STEM_KEYS[module]}.{kind}"
    _, number, part = module.split(".")
    return f"encoder.layer.{number}.{LAYER_KEYS[part]}.{kind}"


def _read_config(path: Path) -> BertConfig:
    """The sizes in a config.json, whose architecture must be the one that is written out here."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadWeights(f"{path} cannot be read: {error}.") from error
    names = [field.name for field in fields(BertConfig)]
    needed = {"model_type": "bert", "hidden_act": "gelu"}
    if not isinstance(entries, dict) or any(entries.get(name) != value for name, value in needed.items()):
        raise BadWeights(f"{path} does not describe a BERT encoder with GELU.")
    if missing := [name for name in names if not isinstance(entries.get(name), int | float)]:
        raise BadWeights(f"{path} lacks {missing[0]}.")
    return BertConfig(**{name: entries[name] for name in names})


def _read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json, used without padding and without truncation."""
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the Rust library raises bare Exception for a file that it cannot parse
        raise BadWeights(f"{path} cannot be read: {error}.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
