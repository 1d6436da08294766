"""Wheels of a few lines: what pip installs in a moment, without an index."""

import zipfile
from hashlib import sha256
from pathlib import Path


def write_wheel(folder: Path, name: str, version: str = "1.0", **modules: str) -> Path:
    """Write a wheel that holds modules, by their dotted names with `__` for the dot; returns its path."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {f"{module.replace('__', '/')}.py": source for module, source in modules.items()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: pyspark\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(zipfile.ZipInfo(file), content)
    return path


def locked(wheel: Path) -> str:
    """The line of a lock that asks for this wheel, with its hash."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n"
