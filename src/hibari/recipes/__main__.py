"""`python -m hibari.recipes NAME [a.b=c …]`: a recipe on a training machine that lacks the command line's packages."""

import sys

from hibari.errors import HibariError
from hibari.recipes import run


def main(arguments: list[str]) -> int:
    """Run a recipe; 0 when it is done, 2 with one line of why not."""
    if not arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        folder = run(arguments[0], arguments[1:])
    except HibariError as error:
        sys.stderr.write(f"hibari: {error}\n")
        return 2
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
