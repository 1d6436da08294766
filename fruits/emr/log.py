"""Read a job's log from S3, where EMR puts it a few minutes late."""

import gzip
import time
from collections.abc import Callable

from lakehouse.storage import list_files, read_file

_LINES = 40


class Log:
    """The logs under a bucket's `logs/`.

    Args:
        bucket: whose.
        pause: seconds between two looks.
        patience: seconds to wait for a log that is not there yet.
        say: told that it waits.
    """

    def __init__(self, bucket: str, pause: float, patience: float, say: Callable[[str], None]) -> None:
        self._bucket, self._pause, self._patience, self._say = bucket, pause, patience, say

    def last_lines(self, folder: str, within: str = "") -> str:
        """The last lines of what was written to stderr below a folder of the logs; where they will be, if they are not.

        Of several logs the newest that says something.

        Args:
            folder: below `logs/`.
            within: what the object's key must have in it, too.
        """
        prefix = f"s3://{self._bucket}/logs/{folder}"
        end = time.monotonic() + self._patience
        while (found := _written(prefix, within)) is None:
            if time.monotonic() >= end:
                return f"Its log is not at {prefix} yet: EMR puts it there within minutes."
            self._say(f"Waiting for the log at {prefix} …")
            time.sleep(self._pause)
        path, lines = found
        return f"The last lines of {path}:\n" + "\n".join(lines[-_LINES:])


def _written(prefix: str, within: str) -> tuple[str, list[str]] | None:
    files = [file for file in list_files(prefix, recursive=True) if within in file.path]
    logs = [file for file in files if file.path.rpartition("/")[2].lower() == "stderr.gz"]
    for file in sorted(logs, key=lambda file: file.modified, reverse=True):
        lines = gzip.decompress(read_file(file.path)).decode(errors="replace").strip().splitlines()
        if lines:
            return file.path, lines
    return None
