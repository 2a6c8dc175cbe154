"""The command line: one verb a file, imported only when it is asked for. No torch here.

This file finds the verb, turns every error into one line on standard error, and owns the exit codes:
0 done, 1 a check said no, 2 bad input or a failure that the message explains, 130 interrupted.
"""

import os
import signal
import sys
from difflib import get_close_matches
from importlib import import_module
from itertools import zip_longest
from types import FrameType
from typing import Any, NoReturn

from hibari.errors import HibariError

VERBS = {
    "generate": "Make a video, or a picture, from a sentence",
    "verify": "Say whether a file was made here, and on what the answer rests",
    "serve": "Serve the Videos API on this machine: change base_url, and Sora code runs here",
    "work": "Join a service's queue with a worker of this machine",
    "cluster": "Keep workers on the nodes of a Ray cluster, which restarts them elsewhere",
    "keys": "Make, list and revoke API keys",
    "users": "List the service's users, and change what they may do",
    "quota": "See and set what a user may use",
    "audit": "Read the audit log, and prove that nobody changed it",
    "backup": "Copy the database, the secrets and the files, while the service goes on",
    "restore": "Put a backup in place",
    "secrets": "See what marks and signs in this house, and whether this machine has it",
    "replay": "Make a recorded generation again, bit for bit",
    "review": "Decide what the safety policy held",
    "ledger": "List what was made here; export or erase a user's data",
    "models": "Say which models are here and what each can do",
    "pull": "Bring a published model from a hub or a folder",
    "plan": "Say what a generation would take: memory, time, and how it is made to fit",
    "doctor": "Look at this machine: what it can run, what is missing, what to do",
    "train": "Train a model by a recipe",
    "evaluate": "Measure a model: prompt following, physics, reconstruction; or its judges",
    "gallery": "See a model: ten fixed prompts with four seeds each, as one picture",
    "worlds": "Build and look at the world that hibari-mini learns from",
}
INTERRUPTED = 130
FLAGS = {
    "prompt": "PROMPT", "output": "-o", "name": "NAME", "source": "--from", "count": "-n", "recipe": "RECIPE",
    "id": "ID", "files": "FILE", "loras": "--lora", "references": "--reference",
    "shortcuts": "--cache, --guidance-interval", "fast": "--fast",
} | {
    setting: f"HIBARI_{setting.upper()}"
    for setting in (
        "threads", "user", "policy", "reviewers", "database", "label", "region", "certificate", "private_key", "signer",
        "timestamp_url", "timestamp_root", "organisation", "files", "aliases", "keep_hours", "latents_hours",
        "hold_hours", "licences", "stall_seconds", "seconds_a_day", "jobs_at_once", "requests_a_minute", "queue_limit",
        "max_upload_mb", "models_held", "previews", "fetch_urls", "public_checks", "oidc_issuer", "oidc_audience",
        "log", "compile", "parallel",
    )
}  # fmt: skip
USAGE = """\
hibari - a sentence becomes a video, on your own machine

  hibari generate "an octopus drifts to the right over the ocean at sunset"

verbs:
{verbs}

`hibari VERB --help` says more; `hibari --version` says which Hibari this is."""


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def run(argv: list[str]) -> int:
    """Run one command line; returns its exit code and raises nothing that a person should see."""
    verb = argv[0] if argv else "--help"
    try:
        if verb in ("--help", "-h", "help"):
            print(USAGE.format(verbs="\n".join(f"  {name:10} {does}" for name, does in VERBS.items())))
            return 0
        if verb == "--version":
            from importlib.metadata import version

            print(f"hibari {version('hibari')}")
            return 0
        if verb not in VERBS:
            near = get_close_matches(verb, VERBS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Verbs: {', '.join(VERBS)}."
            return complain(f"{verb!r} is not a verb. {hint}")
        return _run_verb(verb, argv[1:])
    except HibariError as error:
        return complain(str(error), error.option)
    except KeyboardInterrupt:
        complain("interrupted; nothing half-written is left.")
        return INTERRUPTED


def complain(message: str, option: str = "") -> int:
    """One line on standard error that names the option at fault; returns exit code 2."""
    flag = FLAGS.get(option, "--" + option.replace("_", "-")) + ": " if option else ""
    print(f"hibari: {flag}{' '.join(message.split())}", file=sys.stderr)
    return 2


def _run_verb(verb: str, arguments: list[str]) -> int:
    from typer.exceptions import TyperException
    from typer.main import get_command

    from hibari.request import allowed

    app = import_module(f"hibari.cli.{verb}").app
    try:
        code: int | None = get_command(app).main(args=arguments, prog_name=f"hibari {verb}", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # typer has caught it and made it a code
        return code or 0
    except TyperException as error:
        parameter = getattr(error, "param", None)
        option = getattr(parameter, "name", None) or ""
        see = f"`hibari {verb} --help` says what is expected."
        if parameter is None:
            return complain(f"{error.message.removesuffix('.')}; {see}")
        given = _given(arguments, parameter.opts)
        if not given:
            return complain(f"it is missing. {see}", option)
        return complain(f"{given!r} is not allowed. {allowed(option) or _bounds(parameter) or see}", option)


def _bounds(parameter: Any) -> str:
    """The least and most of an option, as a sentence; empty where typer knows of none."""
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is None:
        return ""
    return f"Give {low:g} to {high:g}." if high is not None else f"Give {low:g} or more."


def _given(arguments: list[str], flags: list[str]) -> str:
    """The value that a command line gives to an option; empty where it is not there."""
    for here, after in zip_longest(arguments, arguments[1:], fillvalue=""):
        name, _, value = here.partition("=")
        if name in flags:
            return value or after
    return ""


def _terminated(signum: int, _: FrameType | None) -> NoReturn:
    """Let a polite end (SIGTERM) run the clean-up that Ctrl-C runs."""
    sys.exit(128 + signum)
