"""`hibari doctor`: what this machine can run, what is missing, and what to do about it."""

import json
import os
import platform
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hibari import catalog, machine
from hibari.cli.door_checks import examine_door
from hibari.cli.finding import Finding
from hibari.cli.options import Home, Json, new_app
from hibari.config import Settings
from hibari.errors import HibariError, InvalidRequest, install

app = new_app()
GIB = 2**30
ENOUGH_MEMORY = 3 * GIB  # hibari-mini with torch, at its default size
ENOUGH_DISK = GIB // 2


@app.command()
def doctor(
    as_json: Json = False,
    stamp: Annotated[bool, typer.Option("--stamp", help="Ask the time-stamp authority for a stamp, too.")] = False,
    home: Home = None,
) -> int:
    """Look at this machine: what it can run, what is missing, what to do."""
    settings = Settings.load(home=home)
    if stamp and settings.timestamp_url is None:
        raise InvalidRequest("no time-stamp authority is set.", option="stamp", hint="Set HIBARI_TIMESTAMP_URL.")
    findings = []
    for finding in examine(settings, stamp=stamp):
        findings.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    ill = any(finding.verdict == "no" for finding in findings)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    elif ill:
        print("\nSomething is missing: see the lines marked NO.")
    else:
        print('\nReady. Try: hibari generate "an octopus drifts to the right over the ocean at sunset"')
    return 1 if ill else 0


def examine(settings: Settings, *, stamp: bool = False) -> Iterator[Finding]:
    """Look at one thing after the other; with `stamp`, ask the time-stamp authority for one."""
    yield _python()
    torch = _torch(settings)
    yield torch
    if torch.verdict == "ok":
        yield _speed(settings)
        yield _calibration(settings)
    yield _memory()
    yield _disk()
    yield _home(settings)
    yield examine_weights(settings)
    yield _sprites(settings)
    yield _codecs()
    yield from examine_door(settings, stamp=stamp)


def _line(finding: Finding) -> str:
    mark = {"ok": "ok  ", "note": "note", "no": "NO  "}[finding.verdict]
    advice = f"\n{'':16}-> {finding.do}" if finding.do else ""
    return f"{mark}  {finding.what:9} {finding.found}{advice}"


def _python() -> Finding:
    return Finding("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _torch(settings: Settings) -> Finding:
    try:
        import torch

        device = machine.pick_device(settings.device)
    except ImportError as error:
        return Finding("no", "torch", f"does not load ({error})", install())
    except InvalidRequest as error:
        return Finding("no", "device", error.message, error.hint)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{machine.cores()} cores"
    dtype = str(machine.pick_dtype(settings.dtype, device)).removeprefix("torch.")
    return Finding(
        "ok", "torch", f"{torch.__version__}; uses {device} ({name}), {dtype}, threads: {torch.get_num_threads()}"
    )


def _speed(settings: Settings) -> Finding:
    import torch

    device = machine.pick_device(settings.device)
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    rates = {name: machine.matmul_rate(device, kind) / 1e9 for name, kind in kinds.items()}
    found = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()) + " GFLOP/s in matrix products"
    if rates["bfloat16"] < rates["float32"]:
        return Finding(
            "note", "speed", found, "bfloat16 is slow here, so float32 is used: expect minutes, not seconds."
        )
    return Finding("ok", "speed", found)


def _calibration(settings: Settings) -> Finding:
    """What `hibari plan` tells times from; measured here, and kept."""
    from hibari.produce.foreseen import calibrate

    try:
        rates = calibrate(settings)
    except HibariError as error:
        return Finding("note", "rates", error.message, error.hint)
    named = {"matrix products": rates.linear, "attention": rates.attention, "convolutions": rates.convolution}
    found = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in named.items())
    return Finding("ok", "rates", f"{rates.dtype}, GFLOP/s: {found}; `hibari plan` tells times from these")


def _memory() -> Finding:
    size = machine.memory_bytes()
    if size < ENOUGH_MEMORY:
        return Finding("note", "memory", f"{size / GIB:.1f} GiB", "Close other programs, or ask for smaller sizes.")
    return Finding("ok", "memory", f"{size / GIB:.0f} GiB")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    if free < ENOUGH_DISK:
        return Finding("note", "disk", f"{free / GIB:.1f} GiB free here", "Make room before making many videos.")
    return Finding("ok", "disk", f"{free / GIB:.0f} GiB free here")


def _home(settings: Settings) -> Finding:
    home = settings.home
    if not home.exists():
        return Finding("ok", "home", f"{home} (made when it is needed)")
    if not home.is_dir() or not os.access(home, os.W_OK):
        return Finding("no", "home", f"{home} cannot be written", "Choose another with --home or HIBARI_HOME.")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        return Finding("note", "home", f"{home} is open to others (mode {mode:o})", f"chmod 700 {home}")
    return Finding("ok", "home", str(home))


def examine_weights(settings: Settings) -> Finding:
    """Whether the model that is used where nobody names one can be, and which others can."""
    names = catalog.names(settings)
    if not names:
        return Finding("no", "weights", "no model is installed", install())
    try:
        catalog.find(settings.model, settings)
    except HibariError as error:  # what is made where nobody names a model
        return Finding("no", "weights", error.message, error.hint)
    found, troubles = [], []
    for name in names:
        try:
            model = catalog.find(name, settings)
        except HibariError as error:
            troubles.append(f"{name}: {error.message}")
        else:
            found.append(f"{model.name} ({model.bytes / 1e6:.0f} MB)")
    if troubles:
        return Finding("note", "weights", "; ".join([", ".join(found), *troubles]), "See hibari models.")
    return Finding("ok", "weights", ", ".join(found))


def _sprites(settings: Settings) -> Finding:
    from hibari.cli.worlds import pack_folder
    from hibari.worlds.pack import SpritePack

    starter = f"{len(SpritePack.load().names)} come with Hibari"
    if not pack_folder(settings).is_dir():
        return Finding("ok", "sprites", f"{starter}; the whole pack is not built, only training on it needs it")
    try:
        pack = SpritePack.load(pack_folder(settings))
    except HibariError as error:
        return Finding("note", "sprites", error.message, error.hint)
    return Finding("ok", "sprites", f"{starter}, {len(pack.names)} in the whole pack")


def _codecs() -> Finding:
    import av

    if "libx264" not in av.codecs_available:
        return Finding(
            "no", "codecs", f"PyAV {av.__version__} has no H.264 encoder", "pip install --force-reinstall av"
        )
    return Finding("ok", "codecs", f"PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info}), H.264")
