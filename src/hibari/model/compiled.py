"""A transformer's blocks through torch.compile. Off unless asked for: the first step of each size waits for it."""

import shutil

import torch
from torch.utils._triton import has_triton

from hibari.errors import MissingDependency
from hibari.model.attention import attend
from hibari.model.dit import Attention, WanDiT

CPU_COMPILERS = ("g++", "clang++", "c++")


def compile_blocks(dit: WanDiT, device: torch.device) -> None:
    """Compile each block in place; they share their code, so that one is compiled and all use it.

    Attention stays as it is: a compiler would write out its loop over all blocks of scores.
    Raises MissingDependency where there is no compiler: nothing runs uncompiled that was to be compiled.
    """
    if device.type == "cpu" and not any(map(shutil.which, CPU_COMPILERS)):
        raise MissingDependency(
            "torch.compile needs a C++ compiler, and there is none.",
            option="compile",
            hint="Install g++, or turn it off.",
        )
    if device.type == "cuda" and not has_triton():
        raise MissingDependency(
            "torch.compile needs Triton, and it is not there.", option="compile", hint="Install triton, or turn it off."
        )
    as_it_is = torch.compiler.disable(attend)
    for layer in dit.modules():
        if isinstance(layer, Attention):
            layer.attend = as_it_is
    for block in dit.blocks:
        block.compile()
