"""The user's own folders, outside of any lake."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def home_folder() -> Path:
    """The user's home; of a user who has none, as in many containers, one among the temporary files."""
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and no entry in the list of users
        return _temporary_home()


def _temporary_home() -> Path:
    """The same folder each time, which nobody else can write to; where somebody else has made it, a new one."""
    folder = Path(tempfile.gettempdir()) / f"home-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    # Programs are loaded from what is kept there.
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
    return folder if own else Path(tempfile.mkdtemp(prefix="home-"))


def cache_folder() -> Path:
    """Where this user keeps what can be made again: jars, MLflow's empty database, converted models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "fruits"


def state_folder() -> Path:
    """Where this user keeps what is no setting and should last: the questions that were asked."""
    return Path(os.environ.get("XDG_STATE_HOME") or home_folder() / ".local" / "state") / "fruits"
