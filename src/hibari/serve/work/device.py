"""Whether this machine has a device, asked of torch in a process of its own, since the API's holds no torch.

`python -m hibari.serve.work.device NAME` is that process: exit code 1, and why on standard output.
"""

import subprocess
import sys

from hibari.errors import InvalidRequest, install
from hibari.machine import pick_device

_EVERYWHERE = ("auto", "cpu")


def check_device(name: str) -> None:
    """Raise InvalidRequest for an accelerator that is not here. Takes as long as torch takes to load."""
    if name in _EVERYWHERE:
        return
    command = [sys.executable, "-P", "-m", "hibari.serve.work.device", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InvalidRequest(done.stdout.strip() or f"torch does not load. {install()}", option="device")


def main() -> int:
    """Look for the device that is named."""
    try:
        pick_device(sys.argv[1])
    except InvalidRequest as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
