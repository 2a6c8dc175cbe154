"""Which licences of weights may be used here: what a folder states, and what the operator's list holds.

Without a list of the operator's, what is known to ask for more than a notice has to be accepted once, by name, when it
is pulled; what states no licence is the person's own affair. With a list (`licences`), nothing else is used, and what
states no licence is not either.
"""

import re
from pathlib import Path

from hibari.config import Settings
from hibari.errors import LicenceNotAllowed

PERMISSIVE = ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "unlicense")
"""Licences (SPDX, in small letters) that ask for a notice at most."""

NOT_STATED = "not stated"
TEXTS = {
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "skywork-license": "https://github.com/SkyworkAI/SkyReels-V2/blob/main/LICENSE.txt",
}
"""Where a licence's text is, for those of published models."""


def stated_licence(folder: Path) -> str:
    """The licence that the head of a folder's README.md states, as model cards do; else that it is not stated."""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            head = file.read(20_000)
    except OSError:
        return NOT_STATED
    matter = re.match(r"---\s*\n(.*?)\n---", head, re.S)
    stated = matter[1] if matter else ""
    found: dict[str, str] = dict(
        re.findall(r"^(license|license_name):[ \t]*['\"]?([\w.+-]+)['\"]?[ \t]*$", stated, re.M)
    )
    if found.get("license") == "other":
        return found.get("license_name", "other")
    return found.get("license", NOT_STATED)


def check_licence(model: str, licence: str, settings: Settings, *, accepted: bool) -> None:
    """Raise LicenceNotAllowed where a model's licence may not be used here. `accepted`: it was, when it was pulled."""
    allowed = settings.licence_names
    if allowed is not None:
        if licence.lower() not in allowed:
            raise LicenceNotAllowed(
                f"{model} is under {_named(licence)}, and this house allows {', '.join(allowed) or 'none'}.",
                option="model",
                hint="HIBARI_LICENCES is the operator's list.",
            )
    elif not (accepted or licence == NOT_STATED or licence.lower() in PERMISSIVE):
        text = f" Its text: {TEXTS[licence.lower()]}" if licence.lower() in TEXTS else ""
        raise LicenceNotAllowed(
            f"{model} is under {_named(licence)}, which nobody here has accepted.",
            option="model",
            hint=f"Put {licence} into HIBARI_LICENCES, or pull it with --accept-licence {licence}.{text}",
        )


def _named(licence: str) -> str:
    return "a licence that it does not state" if licence == NOT_STATED else f"the licence {licence}"
