"""AV1: how many pixels a stream has a decoder unpack, by its headers (AV1 Bitstream Specification 1.0, section 5)."""

import struct
from typing import NamedTuple

from bronze.header import TooManyPartsError
from bronze.structure import MOST_PARTS

_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY, _SWITCH = 0, 3
_CHOSEN = 2  # by each frame for itself


class Work(NamedTuple):
    """What a stream costs: the pixels of its largest frame, and those of all its frames, shown or not."""

    largest: int
    all: int


class _Sequence(NamedTuple):
    reduced: bool
    pixels: int
    most_pixels: int
    """What a frame may have that names a size of its own: as much as the bits for it can say."""
    presentation_bits: int
    screen_tools: int
    integer_motion: int
    frame_id_bits: int


class _Bits:
    """The bits of a part, the highest of a byte first. A `struct.error` where they end."""

    def __init__(self, content: bytes) -> None:
        self._value, self._left = int.from_bytes(content), 8 * len(content)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise struct.error("a header of AV1 ends early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.take(1))

    def skip_number(self) -> None:
        """A number of as many bits as zeros come before it (uvlc)."""
        zeros = 0
        while not self.flag():
            zeros += 1
        if zeros < 32:
            self.take(zeros)


def work_of(content: bytes) -> Work:
    """What a decoder has to do for a stream of whole units.

    A frame counts with the size that its sequence names; one that names its own, with the largest that it could.

    Raises:
        struct.error: it ends in a header, or in a unit, or a frame comes before its sequence; or another of DAMAGED.
        TooManyPartsError: it has more units than MOST_PARTS.
    """
    at, units, sequence, work = 0, 0, None, Work(0, 0)
    while at < len(content):
        units += 1
        if units > MOST_PARTS:
            raise TooManyPartsError
        kind, start, at = _unit(content, at)
        if kind == _SEQUENCE:
            sequence = _read_sequence(_Bits(content[start : min(at, start + 256)]))
        elif kind in (_FRAME_HEADER, _FRAME):
            if sequence is None:
                raise struct.error("a frame comes before its sequence")
            pixels = _pixels_of_frame(_Bits(content[start : min(at, start + 32)]), sequence)
            work = Work(max(work.largest, pixels), work.all + pixels)
    return work


def _unit(content: bytes, at: int) -> tuple[int, int, int]:
    """A unit's kind, and where what it holds begins and ends."""
    header = content[at]
    at += 2 if header & 4 else 1
    if not header & 2:
        return (header >> 3) & 15, at, len(content)
    length = shift = 0
    for _ in range(8):
        byte = content[at]
        at += 1
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            break
    if at + length > len(content):
        raise struct.error("a unit of AV1 ends early")
    return (header >> 3) & 15, at, at + length


def _read_sequence(bits: _Bits) -> _Sequence:
    bits.take(4)  # profile, still picture
    reduced = bits.flag()
    presentation = 0
    if reduced:
        bits.take(5)  # level
    else:
        presentation = _read_operation(bits)
    wide, high = bits.take(4) + 1, bits.take(4) + 1
    pixels = (bits.take(wide) + 1) * (bits.take(high) + 1)
    frame_id = bits.take(4) + bits.take(3) + 3 if not reduced and bits.flag() else 0
    bits.take(3)  # large blocks, two filters
    screen = motion = _CHOSEN
    if not reduced:
        bits.take(4)  # ways of prediction
        if bits.flag():  # order hints
            bits.take(2)
        screen = _CHOSEN if bits.flag() else bits.take(1)
        if screen:
            motion = _CHOSEN if bits.flag() else bits.take(1)
    return _Sequence(reduced, pixels, 1 << (wide + high), presentation, screen, motion, frame_id)


def _read_operation(bits: _Bits) -> int:
    """Timing and operating points; the bits of a frame's time of presentation, where it has one."""
    presentation = delay = 0
    model = False
    if bits.flag():  # timing
        bits.take(64)
        equal = bits.flag()
        if equal:
            bits.skip_number()
        model = bits.flag()
        if model:
            delay = bits.take(5) + 1
            bits.take(37)
            presentation = 0 if equal else bits.take(5) + 1
            if equal:
                bits.take(5)
    display = bits.flag()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if model and bits.flag():
            bits.take(2 * delay + 1)
        if display and bits.flag():
            bits.take(4)
    return presentation


def _pixels_of_frame(bits: _Bits, sequence: _Sequence) -> int:
    if sequence.reduced:
        return sequence.pixels
    if bits.flag():  # one that is there is shown
        return 0
    kind, shown = bits.take(2), bits.flag()
    if shown:
        bits.take(sequence.presentation_bits)
    else:
        bits.take(1)
    if kind != _SWITCH and not (kind == _KEY and shown):
        bits.take(1)  # resilience
    bits.take(1)
    screen = bits.take(1) if sequence.screen_tools == _CHOSEN else sequence.screen_tools
    if screen and sequence.integer_motion == _CHOSEN:
        bits.take(1)
    bits.take(sequence.frame_id_bits)
    own_size = kind == _SWITCH or bits.flag()
    return max(sequence.pixels, sequence.most_pixels) if own_size else sequence.pixels
