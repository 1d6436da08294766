"""The user's own folders, outside of any lake."""

import os
import tempfile
from pathlib import Path


def home_folder() -> Path:
    """The user's home; of a user who has none, as in many containers, a folder for temporary files."""
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and no entry in the list of users
        return Path(tempfile.gettempdir()) / f"home-{os.getuid()}"


def cache_folder() -> Path:
    """Where this user keeps what can be made again: jars, MLflow's empty database, converted models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "fruits"


def state_folder() -> Path:
    """Where this user keeps what is no setting and should last: the questions that were asked."""
    return Path(os.environ.get("XDG_STATE_HOME") or home_folder() / ".local" / "state") / "fruits"
