"""What other tools' variables and habits would change in this process, set right before anything is imported.

The command's process is its own, so it may do so; who imports the packages into a process of theirs keeps what they
have. What an engine or a library needs of the environment of *its* child processes is set where these are started.
"""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

from fruits.limits import need_address_space

_SET = {
    # Pydantic would look through all that is installed for plugins of its own, and let them change what settings are.
    "PYDANTIC_DISABLE_PLUGINS": "1",
    # Notebooks and desktops name a window system for the programs that they start; pictures are files here.
    "MPLBACKEND": "agg",
    # GitPython, which MLflow asks for the commit of the code, prints a page about a missing git.
    "GIT_PYTHON_REFRESH": "quiet",
}
_UNSET = (
    # Meant for people who test their own code: libraries that we stand on do warn, and would end a run.
    "PYTHONWARNINGS",
)
_OF_THE_INTERPRETER = ("PYTHONOPTIMIZE", "PYTHONINSPECT")


def be_at_home() -> None:
    """Make this process independent of what others have set; where that is too late, it begins once more.

    Raises:
        SystemExit: the working folder is gone, which each relative path and several libraries need; or the process may
            have so few addresses that a library would wait for more without end.
    """
    _begin_once_more()
    need_address_space()
    try:
        Path.cwd()
    except FileNotFoundError:
        sys.exit("Error: The working folder has been removed. Change to one that is there (`cd`).")
    os.environ |= _SET
    for name in _UNSET:
        os.environ.pop(name, None)
    if sys.warnoptions:  # which the worker processes would be given
        from warnings import resetwarnings, simplefilter

        sys.warnoptions.clear()
        resetwarnings()
        simplefilter("ignore")
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name may hold what the terminal's encoding has not
            stream.reconfigure(errors="backslashreplace")
    if not os.environ.get("HOME"):  # libraries look for it too, and some end without one
        from lakehouse.user_folders import home_folder

        os.environ["HOME"] = str(home_folder())


def _open_streams() -> None:
    """Give a daemon's command that was started without streams such as go nowhere.

    Else the next file that is opened would be stdout, and a library that prints would write into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("r" if number == 0 else "w")  # noqa: SIM115 - for as long as we live
            if stream.fileno() != number:
                os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)


def _begin_once_more() -> None:
    """Start this command again where the interpreter itself is set so that we cannot work; comes back where it is not.

    A disk has bytes for names, and everything that we stand on (Arrow, delta-rs, DuckDB, Java) takes them for UTF-8,
    whatever the locale's encoding. PySpark reads docstrings, which Python leaves out when told to optimize twice; and
    an interpreter that is to be looked at in the end does not end.

    Under `spark-submit` the platform has started this process as it wants it.
    """
    again = sys.getfilesystemencoding() != "utf-8" or any(name in os.environ for name in _OF_THE_INTERPRETER)
    if not again or "PYSPARK_GATEWAY_PORT" in os.environ or not Path(sys.executable).is_file():
        return
    for name in _OF_THE_INTERPRETER:
        os.environ.pop(name, None)
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
