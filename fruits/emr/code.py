"""The files that a cluster gets: the project's wheel, the bootstrap action with its locks, and the run's settings."""

import base64
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from lakehouse.errors import LakehouseError
from lakehouse.storage import exists, write_file

_PROJECT = "fruits-lakehouse"
# The packages below these lie in their folders, and come along; but for the two whose sources lie elsewhere.
_PACKAGES = ("fruits", "gold", "silver", "bronze", "lakehouse", "lakehouse.conf", "lakehouse.bootstrap")
_BOOTSTRAP = ("emr.sh", "job.py", "requirements-emr.lock", "requirements-emr-model.lock")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # a zip's first date: the same files make the same wheel
_WHEEL = "Wheel-Version: 1.0\nGenerator: fruits\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def code_files(settings: str) -> dict[str, bytes]:
    """By name, what lies under one prefix of the bucket.

    Args:
        settings: a settings file's content.
    """
    name, content = wheel()
    folder = files("lakehouse.bootstrap")
    shipped = {file: folder.joinpath(file).read_bytes() for file in _BOOTSTRAP}
    return {name: content, **shipped, "settings.yaml": settings.encode()}


def upload(bucket: str, code: Mapping[str, bytes]) -> str:
    """Put the code where clusters take it from; returns the prefix, named after the content.

    What is there already stays: the same code and settings are sent once.

    Raises:
        StorageError: the bucket cannot be written.
    """
    digest = hashlib.sha256()
    for name, content in sorted(code.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    prefix = f"s3://{bucket}/code/{digest.hexdigest()[:12]}"
    for name, content in code.items():
        if not exists(f"{prefix}/{name}"):
            write_file(f"{prefix}/{name}", content)
    return prefix


def wheel() -> tuple[str, bytes]:
    """This project as it runs now, as a wheel: its file name and its bytes.

    Made of the packages themselves, so that it needs neither the sources nor a network; see the specification
    "Binary distribution format" of PyPA.
    """
    found = distribution(_PROJECT)
    stem = f"{_PROJECT.replace('-', '_')}-{found.version}"
    information = f"{stem}.dist-info"
    content = _contents()
    content[f"{information}/METADATA"] = (found.read_text("METADATA") or found.read_text("PKG-INFO") or "").encode()
    content[f"{information}/entry_points.txt"] = (found.read_text("entry_points.txt") or "").encode()
    content[f"{information}/WHEEL"] = _WHEEL.encode()
    record = f"{information}/RECORD"
    lines = [f"{name},sha256={_digest(one)},{len(one)}\n" for name, one in sorted(content.items())]
    content[record] = "".join([*lines, f"{record},,\n"]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, one in sorted(content.items()):
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), one, zipfile.ZIP_DEFLATED)
    return f"{stem}-py3-none-any.whl", made.getvalue()


def write_environment(code: Mapping[str, bytes], architecture: str, target: BinaryIO) -> None:
    """Write the archive that EMR Serverless unpacks beside each worker: its packages for Linux, and the settings.

    Args:
        code: the files of `code_files`.
        architecture: of the workers, x86_64 or arm64.
        target: where the archive (tar.gz, some 400 MB) is written to, piece by piece.

    Raises:
        LakehouseError: the packages cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as work:
        folder, packages = Path(work) / "code", Path(work) / "environment"
        folder.mkdir()
        for name, content in code.items():
            (folder / name).write_bytes(content)
        (wheel_file,) = folder.glob("*.whl")
        common = [
            "--quiet",
            "--target",
            str(packages),
            "--no-deps",
            "--only-binary",
            ":all:",
            *platform_options(architecture),
        ]
        _install([*common, "--require-hashes", "-r", str(folder / "requirements-emr.lock")])
        _install([*common, str(wheel_file)])
        (packages / "settings.yaml").write_bytes(code["settings.yaml"])
        with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as archive:
            archive.add(packages, arcname=".")


def _contents() -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for package in _PACKAGES:
        folder = Path(str(files(package)))
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and _belongs(package, path.relative_to(folder)):
                content[f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return content


def _belongs(package: str, path: Path) -> bool:
    """A file of a package; of the bootstrap, which shares its folder with the laptop's locks, what a cluster needs."""
    return package != "lakehouse.bootstrap" or path.name in (*_BOOTSTRAP, "__init__.py", "infrastructure.json")


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def platform_options(architecture: str) -> list[str]:
    """What runs on Amazon Linux 2023; with byte code, where this interpreter writes what a 3.11 reads."""
    machine = {"arm64": "aarch64"}.get(architecture, architecture)
    told = ["--python-platform", f"{machine}-manylinux_2_34", "--python-version", "3.11"]
    return [*told, "--compile-bytecode"] if sys.version_info[:2] == (3, 11) else told


def _install(arguments: list[str]) -> None:
    # Not pip: an environment that uv or pipx has made need not have it, and it takes a minute for what uv does in two
    # seconds.
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LakehouseError(f"The packages for EMR Serverless could not be fetched. uv said:\n{done.stderr[-2000:]}")
