"""Where the sprites come from: six npm packages, each pinned by version and checksum.

The pictures are Microsoft's Fluent Emoji (MIT, Copyright (c) Microsoft Corporation), packed for npm by LobeHub; the
names are emojibase-data's (MIT). The tarballs are found in a folder, or asked of npm, and every one is verified.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hibari.errors import HibariError, MissingDependency

NOTICE = """\
The pictures in this sprite pack are reduced from Microsoft's Fluent Emoji
(https://github.com/microsoft/fluentui-emoji and https://github.com/microsoft/fluentui-emoji-animated), as packed in the
npm packages @lobehub/fluent-emoji-anim-1 to -4 (1.0.0) and @lobehub/fluent-emoji-3d (1.1.0). The names come from
emojibase-data 17.0.0, Copyright (c) 2017-2019 Miles Johnson, under the same licence.

MIT License

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One npm package: its name, version, and the sha256 of its tarball."""

    package: str
    version: str
    sha256: str

    @property
    def spec(self) -> str:
        return f"{self.package}@{self.version}"

    @property
    def tarball(self) -> str:
        """The file name that `npm pack` gives the package."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


ANIMATED = (
    Source(
        package="@lobehub/fluent-emoji-anim-1",
        version="1.0.0",
        sha256="4c03ac178c1eabf2e2a16dd498f3cc2b92dc30ec3466ae38fdc497d4774c99ea",
    ),
    Source(
        package="@lobehub/fluent-emoji-anim-2",
        version="1.0.0",
        sha256="e431da8172e394036c330faa77648d6fbbae1fd3b0be95637c4497c9075019c0",
    ),
    Source(
        package="@lobehub/fluent-emoji-anim-3",
        version="1.0.0",
        sha256="3624d0c34c819c1794b74ccf6ae9034adff7c4cb6318dd2a645145f0196feb43",
    ),
    Source(
        package="@lobehub/fluent-emoji-anim-4",
        version="1.0.0",
        sha256="3d4c08f1e321f70808ef4996aba0ab575a9d97b6c56ffffc92cf6161a7836aa3",
    ),
)
STATIC = Source(
    package="@lobehub/fluent-emoji-3d",
    version="1.1.0",
    sha256="c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
)
NAMES = Source(
    package="emojibase-data",
    version="17.0.0",
    sha256="d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
)
SOURCES = (*ANIMATED, STATIC, NAMES)
# In these packages the stills of medium-light (1f3fc) and medium skin (1f3fd) lie under each other's names; the moving
# pictures are right. These are the emoji, without their tone, of which there is no moving one. Found by brightness.
EXCHANGED = {
    "1f468", "1f469-200d-1f3a4", "1f469-200d-1f3a8", "1f469-200d-1f3ed", "1f469-200d-1f4bc", "1f469-200d-1f9bd",
    "1f469-200d-2708", "1f64f", "1f93d", "1f9ce", "1f9ce-200d-2640", "1f9ce-200d-2642", "1f9cf", "1f9cf-200d-2640",
    "1f9cf-200d-2642", "1f9d6", "1fac3", "1fac4", "1fac5", "1faf0", "1faf1", "1faf2", "1faf3", "1faf5", "1faf7",
    "1faf8",
}  # fmt: skip
_OTHER = {"1f3fc": "1f3fd", "1f3fd": "1f3fc"}


def shown(code: str) -> str:
    """The code point name of what a picture shows, from the name that its file has."""
    parts = code.split("-")
    plain = "-".join(part for part in parts if part not in _OTHER)
    return "-".join(_OTHER.get(part, part) for part in parts) if plain in EXCHANGED else code


def find_tarballs(folder: Path, sources: Sequence[Source] = SOURCES) -> dict[Source, Path]:
    """Map each source to its verified tarball in `folder`; raises MissingDependency or HibariError."""
    absent = [source for source in sources if not (folder / source.tarball).is_file()]
    if absent:
        specs = " ".join(source.spec for source in absent)
        raise MissingDependency(
            f"{folder} lacks {', '.join(source.tarball for source in absent)}.",
            hint=f"Get them with: npm pack {specs} --pack-destination {folder}",
        )
    return {source: verify(source, folder / source.tarball) for source in sources}


def verify(source: Source, path: Path) -> Path:
    """Return `path` where its sha256 is the pinned one; raises HibariError otherwise."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != source.sha256:
        raise HibariError(
            f"{path} is not {source.spec}: sha256 {digest}, expected {source.sha256}.",
            hint="Delete the file and download it again.",
        )
    return path


def fetch_tarballs(folder: Path, sources: Sequence[Source] = SOURCES) -> dict[Source, Path]:
    """Have npm put the tarballs that are not in `folder` yet there (0.75 GB in all), and verify them."""
    folder.mkdir(parents=True, exist_ok=True)
    absent = [source.spec for source in sources if not (folder / source.tarball).is_file()]
    if absent:
        npm = shutil.which("npm")
        if npm is None:
            raise MissingDependency(
                "npm is needed to download the sprites.", hint="Install Node.js, or give a folder of tarballs."
            )
        command = [npm, "pack", *absent, "--pack-destination", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise HibariError(f"npm could not download the sprites: {last[0]}", hint="Try again, or give a folder.")
    return find_tarballs(folder, sources)
