"""Guard models from a folder: Qwen3Guard-Gen and Llama Guard, as a further voice in the prompt screen.

They are optional and large. The prompt is put in the model's own chat template, which holds its policy; the answer is
read strictly, and an answer that is none refuses. Formats: Qwen3Guard's model card (arXiv 2510.14276) and Llama Guard
3's (llama.com/docs).
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from hibari.errors import Refused
from hibari.safety.categories import LLAMA_GUARD_CODES, QWEN_NAMES
from hibari.safety.policy import Finding

Kind = Literal["qwen3guard", "llama-guard"]
UNSAFE, CONTROVERSIAL = 0.95, 0.7
MOST_TOKENS = 64  # of an answer
_QWEN_LABEL = re.compile(r"^Safety: (Safe|Unsafe|Controversial)\s*$", re.MULTILINE)
_QWEN_CATEGORIES = re.compile(r"^Categories: (.+)$", re.MULTILINE)


def read_qwen(answer: str) -> list[Finding]:
    """Findings in an answer of Qwen3Guard-Gen; raises Refused where it is not in its form."""
    label = _QWEN_LABEL.search(answer)
    if label is None:
        raise Refused("The guard model (Qwen3Guard) gave no verdict.", hint="Is the folder a Qwen3Guard-Gen model?")
    if label.group(1) == "Safe":
        return []
    named = _QWEN_CATEGORIES.search(answer)
    names = [name.strip() for name in named.group(1).split(",")] if named else []
    known = [QWEN_NAMES[name] for name in names if name in QWEN_NAMES] or ["nonviolent_crimes"]
    return _findings(known, UNSAFE if label.group(1) == "Unsafe" else CONTROVERSIAL, "Qwen3Guard")


def read_llama(answer: str) -> list[Finding]:
    """Findings in an answer of Llama Guard; raises Refused where it is not in its form."""
    lines = answer.split()
    if lines[:1] == ["safe"]:
        return []
    if lines[:1] != ["unsafe"]:
        raise Refused("The guard model (Llama Guard) gave no verdict.", hint="Is the folder a Llama Guard model?")
    codes = [code.strip() for line in lines[1:] for code in line.split(",")]
    known = [LLAMA_GUARD_CODES[code] for code in codes if code in LLAMA_GUARD_CODES] or ["nonviolent_crimes"]
    return _findings(known, UNSAFE, "Llama Guard")


def guard_folder(folder: Path) -> Path | None:
    """The guard model that an operator put into the folder of optional safety models, as "guard"; None without one.

    Raises Refused where it is there and is no model: a guard that was meant to look and does not is no guard.
    """
    found = folder / "guard"
    if not found.exists():
        return None
    _check_folder(found)
    return found


READERS: dict[Kind, Callable[[str], list[Finding]]] = {"qwen3guard": read_qwen, "llama-guard": read_llama}


class FolderGuard:
    """A guard model in a folder of transformers' form."""

    def __init__(self, kind: Kind, ask: Callable[[str], str]) -> None:
        """`ask` gives the model's answer to a prompt as text."""
        self.kind = kind
        self.reads_all_languages = kind == "qwen3guard"  # 119 languages; Llama Guard 3 reads eight
        self._ask = ask

    @classmethod
    def load(cls, folder: Path, kind: Kind | None = None, *, device: str = "cpu") -> Self:
        """Load model and tokenizer from a folder, never from elsewhere; raises Refused with what is missing."""
        _check_folder(folder)
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise Refused("A guard model needs transformers.", hint="pip install transformers") from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto")
            model.to(device).eval()
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise Refused(f"The guard model {folder} cannot be loaded ({error}).") from error
        return cls(kind or kind_of(tokenizer.chat_template or "", folder), _asker(model, tokenizer))

    def findings(self, text: str) -> list[Finding]:
        """What the guard says of a text; raises Refused where it says nothing that can be read."""
        return READERS[self.kind](self._ask(text))


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise Refused(f"{folder} holds no guard model (no config.json).", hint="Give a folder as transformers has.")


def kind_of(template: str, folder: Path) -> Kind:
    """Which guard a chat template belongs to; raises Refused."""
    if "Safety:" in template and "Categories:" in template:
        return "qwen3guard"
    if "S1" in template and "unsafe" in template.casefold():
        return "llama-guard"
    raise Refused(f"{folder} is no guard model that is known here.", hint="Known: Qwen3Guard-Gen, Llama Guard 3 and 4.")


def _asker(model: Any, tokenizer: Any) -> Callable[[str], str]:
    """A function from a prompt to the model's whole answer, without chance."""

    def ask(text: str) -> str:
        import torch

        messages = [{"role": "user", "content": text}]
        inputs = tokenizer.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(model.device)
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        return str(tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()

    return ask


def _findings(categories: list[str], score: float, by: str) -> list[Finding]:
    return [
        Finding(category=category, score=score, by=by, why="the guard model says so")
        for category in dict.fromkeys(categories)
    ]
