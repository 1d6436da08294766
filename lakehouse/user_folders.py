"""The user's own folders, outside of any lake."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where this user keeps what can be made again: jars, MLflow's empty database, converted models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruits"


def state_folder() -> Path:
    """Where this user keeps what is no setting and should last: the questions that were asked."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fruits"
