"""The settings of an installation, frozen: the data folder, the device, the number type, the threads.

The environment is read here and nowhere else in the package but `train/mesh.py`. Every setting has
one variable, `HIBARI_` and its name; an unknown `HIBARI_` variable is an error, not a shrug.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from hibari.errors import InvalidRequest, OutputError

DEFAULT_MODEL = "hibari-mini"
DTYPES = {
    "auto": "auto",
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
}
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]+)?")
MAX_THREADS = 1024
_PREFIX = "HIBARI_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things lie and what computes. Checked once, here; raises InvalidRequest.

    `threads=0` leaves the number of threads to torch. `user` is whose generations these are (as the operating
    system names them by default), `database` the ledger's (a file in the data folder by default, or postgresql://...),
    `policy` the safety policy's file, `label` the visible label ("on", "off"). The last five say who signs: see
    `provenance.credentials.authority`.
    """

    home: Path
    model: str = DEFAULT_MODEL
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    user: str | None = None
    database: str | None = None
    policy: Path | None = None
    label: str = "on"
    certificate: Path | None = None
    private_key: Path | None = None
    timestamp_url: str | None = None
    timestamp_root: Path | None = None
    organisation: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", Path(self.home).expanduser().absolute())
        if not DEVICE.fullmatch(self.device):
            raise InvalidRequest(
                f"{self.device!r} is not a device.", option="device", hint="Allowed: auto, cpu, cuda, cuda:N, mps."
            )
        if self.dtype not in DTYPES:
            raise InvalidRequest(
                f"{self.dtype!r} is not a number type.", option="dtype", hint=f"Allowed: {', '.join(DTYPES)}."
            )
        object.__setattr__(self, "dtype", DTYPES[self.dtype])
        if not 0 <= self.threads <= MAX_THREADS:
            raise InvalidRequest(
                f"{self.threads} is not allowed.", option="threads", hint=f"Give 0 (automatic) to {MAX_THREADS}."
            )
        if self.label not in ("on", "off"):
            raise InvalidRequest(f"{self.label!r} is not a label.", option="label", hint="Allowed: on, off.")
        for name in ("policy", "certificate", "private_key", "timestamp_root"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path).expanduser().absolute())

    @classmethod
    def load(cls, **given: str | Path | int | None) -> Self:
        """Settings from what was `given` (None: not given), else the environment, else the defaults."""
        values = from_environment(os.environ)
        values.update({name: value for name, value in given.items() if value is not None})
        values.setdefault("home", default_home())
        return cls(**values)  # type: ignore[arg-type]  # names are checked above and values in __post_init__

    @property
    def models_folder(self) -> Path:
        """Where a person may put model folders of their own."""
        return self.home / "models"

    def ensure_home(self) -> Path:
        """Create the data folder for its owner alone (mode 0700) and return it; raises OutputError."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.home}: cannot be created ({error.strerror}).", option="home") from error
        return self.home


def from_environment(environ: Mapping[str, str]) -> dict[str, str | Path | int | None]:
    """The settings that HIBARI_ variables state; raises InvalidRequest for a variable that is none."""
    names = {field.name for field in fields(Settings)}
    values: dict[str, str | Path | int | None] = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX):
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if name not in names:
            known = ", ".join(sorted(_PREFIX + name.upper() for name in names))
            raise InvalidRequest(f"{variable} is not a setting.", hint=f"Known: {known}.")
        if name == "threads":
            if not text.isdecimal():
                raise InvalidRequest(f"{variable}={text}: not a whole number.", option="threads")
            values[name] = int(text)
        elif text:
            values[name] = text
    return values


def default_home() -> Path:
    """The platform's user data folder."""
    # Imported here because a training machine that names its own folders need not have it.
    import platformdirs

    return platformdirs.user_data_path("hibari", appauthor=False)
