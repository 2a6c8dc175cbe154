"""What the C2PA library reads out of a file, and the child process in which it reads other people's files.

`python -m hibari.provenance.credentials.reader JSON`, with anchors and a manifest or an ingredient's name on standard
input, answers with one line of JSON: what it reads, or whether it takes the file in as that ingredient. The library is
native code, and what kills it there kills nothing else. What it all means is for `read.py`, the child's other end.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import c2pa

from hibari.media import child
from hibari.provenance.credentials.anchors import Anchors

MOST_LETTERS = 16 << 20  # of what the library says of a file: ours say some ten thousand
_NOT_SUPPORTED = "Credentials in files of this type are not read here."


def report(path: Path, mime: str, anchors: Anchors, manifest: bytes | None) -> dict[str, Any]:
    """Plain values: either "store" (the library's JSON, as text) and "library" (its verdict), or "state" and "problem".

    Never raises for what is in the file or in `manifest`, which stands for the file's own where it is given.
    """
    try:
        with path.open("rb") as stream, c2pa.Reader(mime, stream, manifest, context=anchors.context()) as reader:
            store, library = reader.json(), reader.get_validation_state()
    except c2pa.C2paError.ManifestNotFound:
        return {"state": "none", "problem": ""}
    except c2pa.C2paError.NotSupported:
        return {"state": "none", "problem": _NOT_SUPPORTED}
    except c2pa.C2paError as error:
        return {"state": "unreadable", "problem": f"The credentials cannot be read: {error}"}
    except OSError as error:
        return {"state": "unreadable", "problem": f"The file cannot be read: {error.strerror}"}
    except ValueError:  # the library's text is no text
        return {"state": "unreadable", "problem": "The credentials hold what is no text"}
    if len(store) > MOST_LETTERS:
        return {"state": "unreadable", "problem": "The credentials are longer than is read here"}
    return {"store": store, "library": str(library)}


def taken(path: Path, mime: str, ingredient: dict[str, Any], anchors: Anchors) -> bool:
    """Whether the library takes a file in as an ingredient, with the credentials that it has."""
    with path.open("rb") as stream, c2pa.Builder({}, anchors.context()) as builder:
        try:
            builder.add_ingredient(ingredient, mime, stream)
        except c2pa.C2paError:
            return False
    return True


def main() -> None:
    """Do the task of the command line."""
    task = child.begin()
    given = json.load(sys.stdin)
    path, anchors = Path(task["path"]), Anchors(**given["anchors"])
    if "ingredient" in given:
        said: dict[str, Any] = {"taken": taken(path, task["mime"], given["ingredient"], anchors)}
    else:
        manifest = None if given["manifest"] is None else base64.b64decode(given["manifest"])
        said = report(path, task["mime"], anchors, manifest)
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
