"""The settings of an installation, frozen: the data folder, the device, the number type, the threads.

The environment is read here and nowhere else in the package but `train/mesh.py`. Every setting has
one variable, `HIBARI_` and its name; an unknown `HIBARI_` variable is an error, not a shrug.
"""

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

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
CHOICES = {"label": ("on", "off"), "region": ("none", "cn")}
LOGS = ("auto", "json", "text")
Parallel = Literal["auto", "ulysses", "ring"]
PARALLEL = get_args(Parallel)
STORAGES = ("auto", "exact", "int8", "fp8")
OFFLOADS = ("auto", "none", "parts", "cpu", "disk")
_PREFIX = "HIBARI_"
_LAUNCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What serving needs on top. Checked once, here; raises InvalidRequest.

    `files` is where finished files lie: a folder (in the data folder by default) or s3://bucket/prefix. `aliases` are
    names that clients may ask for, such as "sora-2=hibari-mini", with commas between. `keep_hours` is how long finished
    videos stay, `latents_hours` how long their latents do, from which they are extended and redrawn, `hold_hours` how
    long a video waits for a reviewer. A user has
    `seconds_a_day` of video, `jobs_at_once` and `requests_a_minute` where nothing else is set for them; the queue takes
    `queue_limit` jobs and an upload `max_upload_mb`. A worker holds `models_held` models at
    once, and kills a maker that makes no step for `stall_seconds`. "on" or "off": `previews` of frames while they are
    made, `fetch_urls` that requests name, `public_checks` of a file's origin by strangers. `oidc_issuer` signs people
    in, with tokens for `oidc_audience`. `log` is "json", "text", or "auto": text at a terminal.
    """

    files: str | None = None
    aliases: str = "sora-2=hibari-mini,sora-2-pro=hibari-mini"
    keep_hours: float = 24.0
    latents_hours: float = 6.0
    hold_hours: float = 168.0
    seconds_a_day: float = 600.0
    jobs_at_once: int = 4
    requests_a_minute: int = 600
    queue_limit: int = 1000
    max_upload_mb: int = 50
    models_held: int = 1
    stall_seconds: float = 600.0
    previews: str = "off"
    fetch_urls: str = "off"
    public_checks: str = "on"
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    log: str = "auto"

    def __post_init__(self) -> None:
        for name in ("previews", "fetch_urls", "public_checks"):
            if getattr(self, name) not in ("on", "off"):
                raise InvalidRequest(f"{getattr(self, name)!r} is not allowed.", option=name, hint="Allowed: on, off.")
        if self.log not in LOGS:
            raise InvalidRequest(f"{self.log!r} is not allowed.", option="log", hint=f"Allowed: {', '.join(LOGS)}.")
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not 0 < value < float("inf"):
                raise InvalidRequest(f"{value:g} is not allowed.", option=each.name, hint="Give more than 0.")
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise InvalidRequest(
                "An issuer and the audience that its tokens are for go together.",
                option="oidc_issuer",
                hint="Set HIBARI_OIDC_ISSUER and HIBARI_OIDC_AUDIENCE, or neither.",
            )
        if self.files is not None and "://" in self.files and not self.files.startswith("s3://"):
            raise InvalidRequest(
                f"{self.files!r} is no place for files.", option="files", hint="Give a folder, or s3://bucket/prefix."
            )
        self.alias_map  # noqa: B018  # raises what is wrong with it

    @property
    def alias_map(self) -> dict[str, str]:
        """The model behind each alias; raises InvalidRequest for text of another form."""
        pairs = [each.strip().split("=") for each in self.aliases.split(",") if each.strip()]
        if not all(len(pair) == 2 and all(part.strip() for part in pair) for pair in pairs):
            raise InvalidRequest(
                f"{self.aliases!r} is not allowed.", option="aliases", hint="Write alias=model, with commas between."
            )
        return {alias.strip(): model.strip() for alias, model in pairs}


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How a model computes. Checked once, here; raises InvalidRequest.

    `compile` ("on", "off") sends the transformer's blocks through torch.compile: the first step of each size waits for
    a compiler. `parallel` says what several devices under torchrun share: "auto" is guidance by pairs where their
    number is even and the sequence's tokens beyond that, "ulysses" and "ring" are two ways to share the tokens alone.
    `memory` is how many GB of the computing device's a generation may take (0: what is free); `storage` and `offload`
    say how a model is held in it (`generate.fit`), where "auto" takes the first way that fits.
    """

    compile: str = "off"
    parallel: str = "auto"
    memory: float = 0.0
    storage: str = "exact"
    offload: str = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.memory < float("inf"):
            raise InvalidRequest(
                f"{self.memory:g} is not allowed.", option="memory", hint="Give GB; 0 is what is free."
            )
        if self.offload == "disk" and self.storage in ("int8", "fp8"):
            raise InvalidRequest(
                "weights that come from the disk come as they are.", option="storage", hint="Leave one of them out."
            )
        choices = {"compile": ("on", "off"), "parallel": PARALLEL, "storage": STORAGES, "offload": OFFLOADS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidRequest(
                    f"{getattr(self, name)!r} is not allowed.", option=name, hint=f"Allowed: {', '.join(allowed)}."
                )


class Launch(NamedTuple):
    """Which of how many processes this is, as torchrun says it; `device` counts those on this machine."""

    rank: int = 0
    size: int = 1
    device: int = 0


def launch() -> Launch:
    """What torchrun says in the environment; one process where it says nothing."""
    return Launch(*(int(os.environ.get(name, default)) for name, default in zip(_LAUNCH, Launch(), strict=True)))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things lie and what computes. Checked once, here; raises InvalidRequest.

    `threads=0` leaves the number of threads to torch. `user` is whose generations these are (as the operating
    system names them by default), `database` the ledger's (a file in the data folder by default, or postgresql://...),
    `policy` the safety policy's file, `reviewers` the users who decide what it holds, with commas between (nobody: the
    operating system's user), `label` the visible label ("on", "off"), `region` whose labelling rules hold on top of
    what every file carries ("none", "cn": see `provenance.region`). `licences` are those of weights that may be used,
    with commas between (`catalog.licence` says what holds without it). From `certificate` to `organisation` they say
    who signs: a `certificate` with its `private_key`, or with a `signer` written as "module:function" (see
    `provenance.credentials.signing`), or, without them, an authority of this installation's own as `organisation`.
    `service` is what only serving needs, `engine` how models compute.
    """

    home: Path
    model: str = DEFAULT_MODEL
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    user: str | None = None
    database: str | None = None
    policy: Path | None = None
    reviewers: str = ""
    label: str = "on"
    region: str = "none"
    certificate: Path | None = None
    private_key: Path | None = None
    signer: str | None = None
    timestamp_url: str | None = None
    timestamp_root: Path | None = None
    organisation: str | None = None
    licences: str | None = None
    service: ServiceSettings = ServiceSettings()
    engine: EngineSettings = EngineSettings()

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
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InvalidRequest(
                    f"{getattr(self, name)!r} is not a {name}.", option=name, hint=f"Allowed: {', '.join(allowed)}."
                )
        self._check_together()
        for name in ("policy", "certificate", "private_key", "timestamp_root"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path).expanduser().absolute())

    def _check_together(self) -> None:
        """Raise InvalidRequest for settings that each are allowed and cannot take effect beside the others."""
        wrong = [
            (
                self.region == "cn" and self.label == "off",
                "label",
                "The rules of region cn ask for a visible label.",
                "Leave the label on, or the region at none.",
            ),
            (
                self.region == "cn" and not (self.organisation or "").strip(),
                "organisation",
                "The rules of region cn put the provider's name, or its code, into every file.",
                "Set organisation.",
            ),
            (
                self.certificate is None and (self.private_key is not None or self.signer is not None),
                "certificate",
                "A signing key without its certificate.",
                "Set certificate, or neither.",
            ),
            (
                self.certificate is not None and (self.private_key is None) == (self.signer is None),
                "certificate",
                "A certificate signs with one key.",
                "Set private_key (a file) or signer (module:function), and not both.",
            ),
            (
                self.certificate is not None and self.organisation is not None and self.region == "none",
                "organisation",
                "A certificate of your own names its organisation itself.",
                "Leave organisation out.",
            ),
            (
                self.timestamp_root is not None and self.timestamp_url is None,
                "timestamp_root",
                "A time-stamp authority's root without its address.",
                "Set HIBARI_TIMESTAMP_URL too.",
            ),
            (
                self.timestamp_url is not None and not self.timestamp_url.startswith(("http://", "https://")),
                "timestamp_url",
                f"{self.timestamp_url!r} is no address of a time-stamp authority.",
                "It starts with http:// or https://.",
            ),
        ]
        for is_so, option, message, hint in wrong:
            if is_so:
                raise InvalidRequest(message, option=option, hint=hint)

    @classmethod
    def load(cls, **given: str | Path | int | None) -> Self:
        """Settings from what was `given` (None: not given), else the environment, else the defaults."""
        values: dict[str, Any] = from_environment(os.environ)
        values.update({name: value for name, value in given.items() if value is not None})
        values.setdefault("home", default_home())
        for name, kind in GROUPS.items():
            values[name] = kind(**{each.name: values.pop(each.name) for each in fields(kind) if each.name in values})
        return cls(**values)

    @property
    def who(self) -> str:
        """The user whose generations these are; raises InvalidRequest where the operating system names nobody."""
        return self.user or operator()

    @property
    def reviewer_names(self) -> tuple[str, ...]:
        """The users who may decide what is held; none where the setting is empty."""
        return tuple(name for each in self.reviewers.split(",") if (name := each.strip()))

    @property
    def licence_names(self) -> tuple[str, ...] | None:
        """The only licences of weights that may be used, in small letters; None where nobody has made a list."""
        if self.licences is None:
            return None
        return tuple(name for each in self.licences.split(",") if (name := each.strip().lower()))

    @property
    def models_folder(self) -> Path:
        """Where a person may put model folders of their own."""
        return self.home / "models"

    @property
    def loras_folder(self) -> Path:
        """Where a person puts LoRA files, which requests then name."""
        return self.home / "loras"

    def ensure_home(self) -> Path:
        """Create the data folder for its owner alone (mode 0700) and return it; raises OutputError."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.home}: cannot be created ({error.strerror}).", option="home") from error
        return self.home


GROUPS: dict[str, type[ServiceSettings | EngineSettings]] = {"service": ServiceSettings, "engine": EngineSettings}


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that HIBARI_ variables state; raises InvalidRequest for a variable that is none."""
    every = (field for kind in (Settings, *GROUPS.values()) for field in fields(kind))
    kinds = {each.name: each.type for each in every if each.name not in GROUPS}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX):
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if name not in kinds:
            known = ", ".join(sorted(_PREFIX + name.upper() for name in kinds))
            raise InvalidRequest(f"{variable} is not a setting.", hint=f"Known: {known}.")
        if kinds[name] in (int, float):
            values[name] = _number(name, text, kinds[name])
        elif text:
            values[name] = text
    return values


def _number(option: str, text: str, kind: Any) -> float:
    what = "whole number" if kind is int else "number"
    try:
        number: float = kind(text)
        if number < 0:
            raise ValueError(text)
    except ValueError as error:
        raise InvalidRequest(f"{text!r} is not a {what}.", option=option, hint="Give 0 or more.") from error
    return number


def operator() -> str:
    """The operating system's user who runs this; raises InvalidRequest where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container's number without a name
        raise InvalidRequest(
            "The operating system has no name for you.", option="user", hint="Set HIBARI_USER."
        ) from error


def default_home() -> Path:
    """The platform's user data folder."""
    # Imported here because a training machine that names its own folders need not have it.
    import platformdirs

    return platformdirs.user_data_path("hibari", appauthor=False)
