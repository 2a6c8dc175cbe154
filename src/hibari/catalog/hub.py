"""Published weights on a model hub, through huggingface_hub: what a repository holds, and one file of it.

Which hub, and with which token, is huggingface_hub's own affair (HF_ENDPOINT, HF_TOKEN). Its `http_get` is used rather
than its downloads into a folder, because those begin a file again that was cut off, and a shard has up to 10 GB.
"""

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hibari.errors import BadWeights, MissingDependency, install


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a repository; `checksum` as in `pulled.Pulled`."""

    path: str
    bytes: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository as it is at one revision; `licence` is what its card states, or ""."""

    name: str
    revision: str
    licence: str
    files: tuple[RemoteFile, ...]


def look_up(name: str, patterns: Iterable[str]) -> Repository:
    """The files of a repository that fit the patterns, with sizes and checksums; raises BadWeights."""
    with _hub(name):
        from huggingface_hub import HfApi

        info = HfApi().model_info(name, files_metadata=True)
    fitting = re.compile("|".join(re.escape(pattern).replace(r"\*", r"[^/\x00-\x1f]*") for pattern in patterns))
    files = []
    for each in info.siblings or []:
        if fitting.fullmatch(each.rfilename) and ".." not in each.rfilename.split("/"):
            checksum = f"sha256:{each.lfs.sha256}" if each.lfs else f"git:{each.blob_id}"
            files.append(RemoteFile(path=each.rfilename, bytes=each.size or 0, checksum=checksum))
    if not files:
        raise BadWeights(f"{name}: nothing of a model is in this repository.", option="name")
    licence = str(getattr(info.card_data, "license", None) or "")
    if licence == "other":
        licence = str(getattr(info.card_data, "license_name", None) or "")
    return Repository(name=name, revision=str(info.sha), licence=licence, files=tuple(files))


def download(repository: Repository, file: RemoteFile, target: Path) -> None:
    """Bring one file to `target`, going on with what is there of it; raises BadWeights. Nothing is verified here."""
    with target.open("ab") as partial, _hub(repository.name):
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        if partial.tell() > file.bytes:
            partial.truncate(0)
        url = hf_hub_url(repository.name, file.path, revision=repository.revision)
        location = get_hf_file_metadata(url).location
        # The token is the hub's alone: where its storage is elsewhere, the address carries its own permission.
        own = urlsplit(location).netloc == urlsplit(url).netloc
        headers = build_hf_headers() if own else build_hf_headers(token=False)
        http_get(location, partial, resume_size=partial.tell(), headers=headers, expected_size=file.bytes)


@contextmanager
def _hub(name: str) -> Iterator[None]:
    """The hub's refusals and the network's as one line."""
    try:
        from huggingface_hub.constants import ENDPOINT
        from huggingface_hub.errors import GatedRepoError, HTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
    except ImportError as error:
        raise MissingDependency(
            f"huggingface_hub is not installed ({error}).", option="name", hint=install("hub")
        ) from error
    try:
        yield
    except GatedRepoError as error:
        raise BadWeights(
            f"{name}: the hub gives it to accounts that asked for it.", option="name", hint="Set HF_TOKEN."
        ) from error
    except RepositoryNotFoundError as error:
        raise BadWeights(f"{name}: the hub has no such repository.", option="name", hint=_ELSEWHERE) from error
    except (HTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise  # the disk's, not the hub's
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise BadWeights(
            f"{name}: {ENDPOINT} did not give all of it ({said[0]}).", option="name", hint=_AGAIN
        ) from error


DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
_AGAIN = "The same command goes on where this one stopped; with --from it takes a folder that you have."
_ELSEWHERE = "Take it from a folder with --from."


def quieten() -> None:
    """Show no progress bars, for where nobody watches."""
    with _hub("the hub"):
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
