"""What other decoders say of an image file: each a program that may be installed, in bounded time and memory."""

import resource
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
"""The side to which pictures are shrunk to be compared."""


@dataclass(frozen=True)
class Opinion:
    """What a decoder says: whether it gave a picture, its words where it had any, and what it shows where it tells."""

    reads: bool
    words: str
    shown: NDArray[np.float64] | None = None

    @property
    def content(self) -> bool:
        """Whether it read all without a word."""
        return self.reads and not self.words


@dataclass(frozen=True)
class Decoder:
    """A program: the formats that it is asked about, and the command for a file."""

    name: str
    program: str
    formats: frozenset[str]
    command: Callable[[str, str, str], Sequence[str]]

    def ask(self, path: str, format_: str, seconds: float, memory: int) -> Opinion:
        """Its opinion of a file of a format."""
        arguments = [self.program, *self.command(self.program, path, format_)]
        try:
            ran = subprocess.run(
                arguments,
                capture_output=True,
                timeout=seconds,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Opinion(False, f"took more than {seconds:.0f} s")
        words = ran.stderr.decode(errors="replace").strip().partition("\n")[0]
        if ran.returncode:
            return Opinion(False, words or f"ended with {ran.returncode}")
        return Opinion(True, words, _shown(ran.stdout))


def installed() -> list[Decoder]:
    """The decoders that this machine has."""
    every = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "HEIF", "AVIF", "JPEG2000"})
    known = [
        ("djpeg", ("djpeg",), frozenset({"JPEG"}), _djpeg),
        ("ImageMagick", ("magick", "convert-im6", "convert"), every, _magick),
        ("vips", ("vips",), every - {"BMP"}, _vips),
    ]
    found = []
    for name, programs, formats, command in known:
        program = next((path for path in map(shutil.which, programs) if path), None)
        if program is not None:
            found.append(Decoder(name, program, formats, command))
    return found


def _djpeg(_: str, path: str, __: str) -> Sequence[str]:
    return ["-outfile", "/dev/null", path]


def _magick(_: str, path: str, format_: str) -> Sequence[str]:
    # By content, as we do; the first picture, upright, on white, as sRGB by its profile where it has one.
    kind = {"JPEG2000": "jp2", "HEIF": "heic"}.get(format_, format_.lower())
    flat = ["-auto-orient", "-background", "white", "-alpha", "remove", "-alpha", "off", "-colorspace", "sRGB"]
    return [f"{kind}:{path}[0]", *flat, "-depth", "8", "-filter", "box", "-resize", f"{SIDE}x{SIDE}!", "ppm:-"]


def _vips(_: str, path: str, __: str) -> Sequence[str]:
    return ["avg", path]


def _shown(output: bytes) -> NDArray[np.float64] | None:
    if not output.startswith(b"P6"):
        return None
    with Image.open(BytesIO(output)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)
