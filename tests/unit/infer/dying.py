"""Program: `v2a.infer`, which sends itself a signal as soon as a file is there, however fast the machine is.

Python tells of each file that is opened or renamed; at the first such moment after the file is there, the signal is sent, once.

python -m tests.unit.infer.dying SIGNAL STATE PATTERN [ARGUMENT…]
"""

import os
import sys
from pathlib import Path

from v2a.infer.__main__ import main


def send_when_there(number: int, state: Path, pattern: str) -> None:
    """Look at each moment that Python tells of; looking tells of moments too, which do not count."""
    waiting, looking = True, False

    def look(event: str, _: object) -> None:
        nonlocal waiting, looking
        if not waiting or looking or event not in ("open", "os.rename", "os.remove", "subprocess.Popen"):
            return
        looking = True
        waiting = not any(state.glob(pattern))
        looking = False
        if not waiting:
            os.kill(os.getpid(), number)

    sys.addaudithook(look)


if __name__ == "__main__":
    send_when_there(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    sys.exit(main(sys.argv[4:]))
