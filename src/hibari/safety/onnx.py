"""ONNX models for pictures: read from a file whose checksum is known, and run by onnxruntime on the CPU.

Only the model's bytes are taken from a package that carries it; the package's own code is never imported.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hibari.errors import Refused, install


def packaged(package: str, name: str) -> Path:
    """Where an installed package keeps a file; raises Refused where the package is not there. Imports nothing."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Refused(f"The model file {name} is not installed.", hint=f"pip install {package.replace('_', '-')}")
    return Path(next(iter(spec.submodule_search_locations))) / name


class OnnxModel:
    """A session on one model file."""

    def __init__(self, path: Path, sha256: str, *, threads: int = 1) -> None:
        """Check and load; raises Refused where the file is missing, altered, or onnxruntime is not installed."""
        try:
            payload = path.read_bytes()
        except OSError as error:
            raise Refused(f"The safety model {path} cannot be read ({error.strerror}).") from error
        if hashlib.sha256(payload).hexdigest() != sha256:
            raise Refused(f"The safety model {path} is not the file that was checked (wrong checksum).")
        try:
            import onnxruntime
        except ImportError as error:
            raise Refused("Safety models need onnxruntime.", hint=install()) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # the files' exporters left warnings that nobody here can act on
        self._session: Any = onnxruntime.InferenceSession(payload, options, providers=["CPUExecutionProvider"])
        self._input: str = self._session.get_inputs()[0].name
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Every output of one batch, by name."""
        return dict(zip(self.outputs, self._session.run(None, {self._input: batch}), strict=True))
