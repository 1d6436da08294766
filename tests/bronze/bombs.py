"""AVIF and JPEG 2000 that cost more than their boxes or main headers say, drawn here."""

import struct
from base64 import b85decode
from zlib import decompress

from PIL import Image

from tests.bronze.corpus import encoded, noise

AVIF_LIE = decompress(
    b85decode(
        "c-muNU{FXasVqn=%S>Yc0uY^>nP!-qnV9D5Xy^nKdYzkElE?r7iWw<6MNl?FL1uCZ0~+8f$SlbPvlxL`E;A=T8N_h`@fjhajKT~I"
        "%<F+{jm*rvG`LzRASaax%1bOWFm%q($p_n&m03_!0HnP$3zGAJv`A)gK`PWf2PhUO$gIc&2{3bTZ~!Tu#4<zYMtL5PkZ^K-PElTR"
        "P6g0pUIw-XppbZGK`zWsK!>p~GBvXR^={8iNh}d!;Nq75Z2$lNw+@aB69uEW>=Jy(+gl^=|NsB!`~jf1&!5sfKJ~`cg_j<FdQ~}7"
        "-}&xQ>G$GqyP`!^eDqq(9>=^>a9Q0my;JVAp3|W&i&^$(Rc2LGuw};bo?4T&?ahIn&3_A?-#hnDYVzARKmI+o2rQJ1{@LI*C0q73"
        "^KaYRM@({}Ibt%j`-8IfM^C)GjYY6w)W%U8hl-7Kw-5kS6B*6"
    )
)
"""An AVIF of 8,192 × 8,192 pixels whose boxes say that it has 64 × 64; 1.2 kB."""


# ---- AVIF -----------------------------------------------------------------------------------------------------------


def stream_of(content: bytes) -> tuple[int, bytes]:
    """The stream of AV1 in an AVIF of one picture, and where it begins: it is all that its data box holds."""
    at = content.index(b"mdat")
    return at + 4, content[at + 4 :]


def with_stream(content: bytes, stream: bytes) -> bytes:
    """An AVIF whose picture, and first frame where it has some, is another stream: its tables of places say so."""
    at, _ = stream_of(content)
    made = bytearray(content)
    for table, first in ((b"iloc", None), (b"stco", 12), (b"stsz", 16)):
        if table not in content:
            continue
        start = content.index(table)
        place = content.index(struct.pack(">I", at), start) if first is None else start + first
        if table != b"stsz":
            struct.pack_into(">I", made, place, len(content) + 8)
        if table != b"stco":
            struct.pack_into(">I", made, place + (4 if first is None else 0), len(stream))
    return bytes(made) + struct.pack(">I4s", len(stream) + 8, b"mdat") + stream


def hidden_frames(number: int) -> bytes:
    """An AVIF of 4 megapixels whose only frame comes so many times."""
    content = encoded(Image.new("L", (2048, 2048)), "AVIF", speed=10)
    _, stream = stream_of(content)
    frame = stream[_first_frame(stream) :]
    return with_stream(content, stream + frame * (number - 1))


def _first_frame(stream: bytes) -> int:
    at = 0
    while (stream[at] >> 3) & 15 != 6:
        assert stream[at + 1] < 128
        at += 2 + stream[at + 1]
    return at


def film_that_lies(frames: int) -> bytes:
    """An AVIF of so many small frames, the first of which is of 8,192 × 8,192 pixels."""
    pictures = [Image.new("L", (64, 64), level % 256) for level in range(frames)]
    content = encoded(pictures[0], "AVIF", save_all=True, append_images=pictures[1:])
    return with_stream(content, stream_of(AVIF_LIE)[1])


def bits(*fields: tuple[int, int]) -> bytes:
    """Numbers of so many bits each, and zeros to the end of the byte."""
    text = "".join(f"{value:0{count}b}" for value, count in fields)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8))


def unit(kind: int, content: bytes) -> bytes:
    """A unit of AV1."""
    assert len(content) < 128
    return bytes([kind << 3 | 2, len(content)]) + content


def film_sequence(wide: int, high: int, size_bits: int) -> bytes:
    """A sequence of a film, as cameras write it: every frame may have a size of its own, of so many bits a side."""
    start = [(0, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (8, 5), (0, 1)]
    size = [(size_bits - 1, 4), (size_bits - 1, 4), (wide - 1, size_bits), (high - 1, size_bits)]
    tools = [(0, 1), (0, 3), (0, 4), (0, 1), (1, 1), (1, 1), (0, 16)]
    return unit(1, bits(*start, *size, *tools))


def film_frame(*, own_size: bool) -> bytes:
    """A key frame that is shown; one that has a size of its own says so."""
    return unit(6, bits((0, 1), (0, 2), (1, 1), (0, 1), (0, 1), (int(own_size), 1), (0, 32)))


# ---- JPEG 2000 ------------------------------------------------------------------------------------------------------

PLAIN = {"no_jp2": True}


def tiles_that_are_missing(side: int, tile: int) -> bytes:
    """A code stream of one tile that says how many it has."""
    made = bytearray(encoded(Image.new("L", (16, 16)), "JPEG2000", **PLAIN))
    struct.pack_into(">8I", made, 8, side, side, 0, 0, tile, tile, 0, 0)
    return bytes(made)


def tile_of_tiny_blocks() -> bytes:
    """Tiles, the first of which has a header of its own, with blocks of 4 × 4."""
    content = encoded(Image.new("RGB", (1000, 1000), "red"), "JPEG2000", **PLAIN, tile_size=(500, 500))
    start, part = content.index(b"\xff\x52"), content.index(b"\xff\x90")
    (length,) = struct.unpack_from(">H", content, start + 2)
    coding = bytearray(content[start : start + 2 + length])
    coding[10:12] = b"\0\0"
    (size,) = struct.unpack_from(">I", content, part + 6)
    longer = struct.pack(">I", size + len(coding)) + content[part + 10 : part + 12] + coding
    return content[: part + 6] + longer + content[part + 12 :]


def channel_of_tiny_blocks() -> bytes:
    """Blocks of 4 × 4 in the second channel alone."""
    content = encoded(noise(64, 64), "JPEG2000", **PLAIN)
    at = content.index(b"\xff\x52")
    (length,) = struct.unpack_from(">H", content, at + 2)
    of_channel = bytes([1, 0, content[at + 9], 0, 0, *content[at + 12 : at + 14]])
    coding = b"\xff\x53" + struct.pack(">H", len(of_channel) + 2) + of_channel
    return content[: at + 2 + length] + coding + content[at + 2 + length :]


def coded(change: int, value: bytes, **options: object) -> bytes:
    """A code stream of 12 megapixels, one value of whose coding is another."""
    made = bytearray(encoded(Image.new("RGB", (4000, 3000), "red"), "JPEG2000", **PLAIN, **options))
    at = made.index(b"\xff\x52") + change
    made[at : at + len(value)] = value
    return bytes(made)
