"""What a fuzzer sends to the app: photographs that are damaged, and requests that are no upload of a browser's."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from PIL import Image

from tests.bronze.corpus import animation, encoded, noise
from tests.bronze.phone import heic
from tests.bronze.test_formats import drawn
from tests.fruits.app.serving import HOST

_PICTURE = Image.fromarray(noise(24, 16))
PHOTOGRAPHS: dict[str, bytes] = {
    "JPEG": encoded(_PICTURE, "JPEG"),
    "JPEG, progressive": encoded(_PICTURE, "JPEG", progressive=True),
    "PNG": encoded(_PICTURE, "PNG"),
    "PNG, animated": animation("PNG", "red", "blue"),
    "GIF": animation("GIF", "red", "blue"),
    "BMP": encoded(_PICTURE.quantize(16), "BMP"),
    "WebP": encoded(_PICTURE, "WEBP"),
    "WebP, animated": animation("WEBP", "red", "blue"),
    "TIFF": encoded(_PICTURE, "TIFF"),
    "TIFF, LZW": encoded(_PICTURE, "TIFF", compression="tiff_lzw"),
    "HEIC": drawn(_PICTURE, "HEIF"),
    "HEIC, tiles": heic(noise(96, 80), tile_size=64, thumbnails=[32]),
    "AVIF": drawn(_PICTURE, "AVIF"),
    "AVIF, animated": animation("AVIF", "red", "blue"),
    "JPEG 2000": encoded(_PICTURE, "JPEG2000"),
}
Damage = Callable[[bytes], bytes]


# ---- photographs ----------------------------------------------------------------------------------------------------


@st.composite
def _place(draw: st.DrawFn) -> Callable[[bytes], int]:
    """A place in content; half of them in its header, where most is decided."""
    share, early = draw(st.floats(0, 1, exclude_max=True)), draw(st.booleans())
    return lambda content: int(share * (min(300, len(content)) if early else len(content)))


@st.composite
def _flipped(draw: st.DrawFn) -> Damage:
    place, mask = draw(_place()), draw(st.integers(1, 255))

    def damage(content: bytes) -> bytes:
        made, at = bytearray(content), place(content)
        if at < len(made):
            made[at] ^= mask
        return bytes(made)

    return damage


@st.composite
def _raised(draw: st.DrawFn) -> Damage:
    """A number of the header, and what it would be if it were huge."""
    place, form = draw(_place()), draw(st.sampled_from(["<H", ">H", "<I", ">I"]))
    number = draw(st.sampled_from([0, 1, 0x7FFF, 0xFFFF, 50_000, 16_384, 0x7FFFFFFF, 0xFFFFFFFF]))
    value = struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    return lambda content: content[: place(content)] + value + content[place(content) + len(value) :]


@st.composite
def _spliced(draw: st.DrawFn) -> Damage:
    """One format's beginning, and another's end."""
    other, place = draw(st.sampled_from([*PHOTOGRAPHS.values()])), draw(_place())
    return lambda content: content[: place(content)] + other[place(other) :]


@st.composite
def _repeated(draw: st.DrawFn) -> Damage:
    first, length, times = draw(_place()), draw(st.integers(1, 40)), draw(st.sampled_from([2, 50, 2000]))

    def damage(content: bytes) -> bytes:
        at = first(content)
        return content[:at] + content[at : at + length] * times + content[at + length :]

    return damage


@st.composite
def _cut(draw: st.DrawFn) -> Damage:
    place = draw(_place())
    return lambda content: content[: place(content)]


@st.composite
def _filled(draw: st.DrawFn) -> Damage:
    place, more = draw(_place()), draw(st.binary(min_size=1, max_size=40))
    return lambda content: content[: place(content)] + more + content[place(content) :]


@st.composite
def damaged_photographs(draw: st.DrawFn) -> bytes:
    """A photograph of one of the formats, with one to four kinds of damage."""
    content = PHOTOGRAPHS[draw(st.sampled_from([*PHOTOGRAPHS]))]
    damages = st.one_of(_flipped(), _flipped(), _raised(), _raised(), _cut(), _filled(), _repeated(), _spliced())
    for damage in draw(st.lists(damages, min_size=1, max_size=4)):
        content = damage(content)
    return content


# ---- requests -------------------------------------------------------------------------------------------------------

_NAMES = (
    "photograph.jpg", "../../../etc/passwd", "..\\..\\boot.ini", 'a"; filename="b', "CON", "é.jpg", "\u202egpj.exe",
    "=cmd|' /C calc'!A0", "x" * 3000, "", "nul\0l.png", "new\r\nline", "%0d%0aX: y", "🍎.heic", "-rf", "\x1b[2J.jpg",
)  # fmt: skip
_TYPES = (
    "image/jpeg", "image/svg+xml", "text/html; charset=utf-7", "application/x-www-form-urlencoded", "", "é", "a" * 2000,
    "multipart/mixed", "multipart/form-data", "multipart/form-data; boundary=", "message/rfc822", "image/heic;;;=",
)  # fmt: skip
_BOUNDARIES = ("x", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "a b", '"', "", "-" * 200, "é")


@dataclass(frozen=True)
class Sent:
    """The bytes of a request, and whether what it says of its length is no lie."""

    content: bytes
    honest: bool


@st.composite
def forms(draw: st.DrawFn, photographs: Sequence[bytes]) -> tuple[str, bytes]:
    """A body as of a form, and the type it is said to have: parts repeated or missing, cut, of another boundary."""
    boundary = draw(st.sampled_from(_BOUNDARIES))
    told = draw(st.sampled_from([boundary, boundary, boundary, *_BOUNDARIES]))
    body = b""
    for _ in range(draw(st.integers(0, 3))):
        field, name, kind = (draw(st.sampled_from(names)) for names in (("file", "photo", ""), _NAMES, _TYPES))
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        head += f"Content-Type: {kind}\r\n" * draw(st.integers(0, 2)) + "\r\n"
        body += head.encode() + draw(st.sampled_from([*photographs, b"", b"--x--"])) + b"\r\n"
    body += f"--{boundary}--\r\n".encode() * draw(st.integers(0, 2))
    body = body[: int(draw(st.sampled_from([1.0, 1.0, 0.9, 0.5, 0.1])) * len(body))]
    kind = draw(st.sampled_from([f"multipart/form-data; boundary={told}", *_TYPES]))
    return kind, body


@st.composite
def requests(draw: st.DrawFn, photographs: Sequence[bytes]) -> Sent:
    """An upload as no browser sends it: a form or a photograph, of a length that may be a lie."""
    bodies = st.tuples(st.sampled_from(_TYPES), st.sampled_from([*photographs, b""]))
    kind, body = draw(st.one_of(forms(photographs), bodies))
    length, honest, body = draw(_lengths(body))
    lines = [f"POST /identify HTTP/1.1\r\nHost: {HOST}\r\nConnection: close", *length]
    lines += [f"Content-Type: {kind}"] * draw(st.sampled_from([1, 1, 1, 0, 2]))
    lines += draw(st.lists(st.sampled_from(["Expect: 100-continue", "X: " + "y" * 5000, "Content-Encoding: gzip"])))
    return Sent("\r\n".join([*lines, "\r\n"]).encode() + body, honest)


def _chunks(body: bytes, lie: int = 0) -> bytes:
    halves = [half for half in (body[: len(body) // 2], body[len(body) // 2 :]) if half]
    return b"".join(b"%x\r\n%s\r\n" % (len(half) + lie, half) for half in halves) + b"0\r\n\r\n"


def _lengths(body: bytes) -> st.SearchStrategy[tuple[list[str], bool, bytes]]:
    """What is said of a body's length, whether that is true, and the body as it is sent."""
    exact, more = f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 1000}"
    chunked = "Transfer-Encoding: chunked"
    told: list[tuple[list[str], bool, bytes]] = [
        ([exact], True, body),
        ([exact], True, body),
        ([chunked], True, _chunks(body)),
        ([f"Content-Length: {len(body) // 2}"], False, body),
        ([more], False, body),
        ([chunked], False, _chunks(body, 3)),
        ([chunked], False, _chunks(body)[:-5]),
        ([chunked], False, b"ffffffffffffffff\r\n" + body),
        ([chunked, exact], False, _chunks(body)),
        ([exact, more], False, body),
        *(([f"Content-Length: {lie}"], False, body) for lie in ("-1", "0x10", "1e3", "", "9" * 30, "é")),
        ([], False, body),
    ]
    return st.sampled_from(told)
