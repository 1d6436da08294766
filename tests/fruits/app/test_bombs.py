"""Decompression bombs of each format that the app takes: each costs bounded memory and time."""

import io
import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from fruits.settings import Settings
from tests.bronze.bombs import AVIF_LIE
from tests.bronze.corpus import claiming, encoded, gif_bomb, in_many_scans, noise, png_bomb, text_bomb, webp_bomb
from tests.bronze.test_formats import drawn
from tests.fruits.app.serving import SLOW, Server
from tests.processes import descendants

pytestmark = pytest.mark.usefixtures("unhurt")

HUGE = struct.pack(">II", 50_000, 50_000)
SMALL = Image.fromarray(noise(64, 64))


def scans(number: int) -> bytes:
    """A progressive JPEG of 49 megapixels, whose last scan of 98 bytes comes so often."""
    plain = encoded(Image.new("L", (7000, 7000)), "JPEG", progressive=True)
    return in_many_scans(plain, number)


def tiff(side: int) -> bytes:
    """A TIFF of black pixels, a thousandth of their size."""
    return encoded(Image.new("L", (side, side)), "TIFF", compression="tiff_adobe_deflate")


def tiff_of_huge_strips() -> bytes:
    """A TIFF of 7,000 × 7,000 pixels, each strip of which is the whole file's data."""
    content = bytearray(tiff(7_000))
    (at,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, at)
    for entry in range(at + 2, at + 2 + 12 * entries, 12):
        tag, kind, count, place = struct.unpack_from("<HHII", content, entry)
        if tag == 279 and count > 1:
            struct.pack_into(f"<{count}{'I' if kind == 4 else 'H'}", content, place, *[60_000] * count)
    return bytes(content)


def mpo() -> bytes:
    """Two pictures in one file, the second a bomb."""
    second = claiming(encoded(SMALL, "JPEG"), 65_500, 65_500)
    return encoded(SMALL, "MPO", save_all=True, append_images=[SMALL])[:-600] + second


BOMBS: dict[str, tuple[Callable[[], bytes], set[int]]] = {
    "JPEG, claims": (lambda: claiming(encoded(SMALL, "JPEG"), 65_500, 65_500), {422}),
    "JPEG, scans": (lambda: scans(20_000), {422}),
    "JPEG, scans below the limit": (lambda: scans(30), {200}),
    "JPEG, trailing": (lambda: encoded(SMALL, "JPEG") + b"\xff\xda\x00\x02" * 2_000_000, {200}),
    "MPO": (mpo, {200, 422}),
    "PNG, 400 megapixels": (lambda: png_bomb(20_000), {422}),
    "PNG, 49 megapixels": (lambda: png_bomb(7_000), {200}),
    "PNG, texts": (text_bomb, {422}),
    "GIF, claims": (lambda: claiming(encoded(SMALL.quantize(16), "GIF"), 65_535, 65_535), {422}),
    "GIF, disposal": (lambda: gif_bomb(30_000), {422}),
    "BMP": (lambda: claiming(encoded(SMALL, "BMP"), 50_000, 50_000), {422}),
    "WebP, canvas": (lambda: webp_bomb(16_384), {422}),
    "WebP, 49 megapixels": (lambda: encoded(Image.new("RGBA", (7000, 7000)), "WEBP", lossless=True, method=0), {200}),
    "TIFF, deflate": (lambda: tiff(20_000), {422}),
    "TIFF, strips": (tiff_of_huge_strips, {200, 422}),
    "HEIC, claims": (lambda: drawn(SMALL, "HEIF").replace(struct.pack(">II", 64, 64), HUGE), {422}),
    "AVIF, claims": (lambda: drawn(SMALL, "AVIF").replace(struct.pack(">II", 64, 64), HUGE), {422}),
    "AVIF, lies": (lambda: AVIF_LIE, {422}),
    "JPEG 2000": (lambda: encoded(SMALL, "JPEG2000"), {415}),
    "profile": (lambda: encoded(SMALL, "PNG", icc_profile=np.random.default_rng(0).bytes(15 << 20)), {200}),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_goes_off_nowhere(server: Server, name: str) -> None:
    """Of each format that is taken, and of one that is not: a status, a sentence where it is refused, in time."""
    make, statuses = BOMBS[name]
    content = make()
    start = time.monotonic()
    answer = server.ask(content)
    assert time.monotonic() - start < 2 * SLOW
    assert answer.status in statuses
    if answer.status != 200:
        assert len(answer.json["error"]) > 20


def test_formats_with_bombs_are_all_that_are_taken(served_settings: Settings) -> None:
    """One that is added has one here."""
    spoken = {"HEIC": "HEIF", "WebP": "WEBP"}
    assert {*served_settings.formats} <= {spoken.get(one, one) for one in (name.split(",")[0] for name in BOMBS)}


def kill_readers(server: Server) -> None:
    """Kill what reads photographs."""
    for pid in descendants(server.process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_what_kills_its_reader_is_said_and_the_reader_replaced(server: Server, fruit: bytes) -> None:
    """As a decoder that crashes would: killed while it waits for nothing, and killed at work."""
    content = io.BytesIO()
    Image.fromarray(noise(3200, 2400)).save(content, "PNG", compress_level=1)
    kill_readers(server)
    assert server.ask(fruit).status == 200
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.05):
            kill_readers(server)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        answer = server.ask(content.getvalue())
    finally:
        stop.set()
        killer.join()
    assert (answer.status, answer.json["reason"]) == (422, "kills_the_reader")
