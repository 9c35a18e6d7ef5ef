"""What one rank was handed in its environment, and what every process of this machine is seen to be called, as `ps` shows it.

python -m tests.distributed.seen_by_others FOLDER NAME…
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path


def command_lines() -> list[str]:
    """Of all processes of this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return found


if __name__ == "__main__":
    content = {"handed": {name: os.environ.get(name) for name in sys.argv[2:]}, "seen": command_lines()}
    (Path(sys.argv[1]) / os.environ["HOROVOD_RANK"]).write_text(json.dumps(content))
