"""`python -m hibari.recipes NAME [a.b=c …]`: a recipe on a training machine that lacks the command line's packages."""

import signal
import sys

from hibari.errors import HibariError
from hibari.recipes import run


def main(arguments: list[str]) -> int:
    """Run a recipe; 0 when it is done, 2 with one line of why not, 130 when it was stopped and has saved itself."""
    if not arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    for stop in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with Ctrl-C ignored
        signal.signal(stop, signal.default_int_handler)
    try:
        folder = run(arguments[0], arguments[1:])
    except HibariError as error:
        sys.stderr.write(f"hibari: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("hibari: stopped; the same command goes on from the checkpoint.\n")
        return 130
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
