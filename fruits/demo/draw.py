"""Fruit photographs drawn from nothing, for `make demo` and the tests: solids, ray-marched and lit with numpy.

A fruit is a row of data: a solid of revolution (bent, ribbed or cut) and what is painted on it. Its own axis is z, with
the stem at z > 0, and its radius is about 1. The camera has u to the right, v up and w towards it, without perspective.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lakehouse.failures import refusals

Array: TypeAlias = NDArray[np.float32]
Colour: TypeAlias = tuple[int, int, int]  # sRGB, 0 to 255

VIEWS_A_TURN = 30  # 12 degrees a view
_SUPERSAMPLE = 2
_WAVES = 12
_CAUTION = 0.75  # the share of `_distance`, which is not exact, that a ray may go at once
_PUSH = 0.006  # more than that, so that rays pass along a surface or get into it
_LAMP, _SOFT_BOX = np.array([[-0.45, 0.62, 0.64], [0.62, 0.25, 0.74]], np.float32)  # directions to the lights


@dataclass(frozen=True)
class Dots:
    """Seeds, pores or spots, in `rows` from pole to pole; `radius` in row spacings, `depth` < 0 for pits."""

    rows: int
    radius: float
    depth: float
    colour: Colour
    opacity: float = 1.0


@dataclass(frozen=True)
class Cap:
    """A star about the stem: sepals or a crown; `reach` in degrees from the pole, `height` of its relief."""

    points: int
    reach: float
    height: float
    colour: Colour


@dataclass(frozen=True)
class Fruit:
    """What a kind looks like.

    Attributes:
        radii: the radius at equally spaced angles from the stem (first) to the blossom end (last).
        skin, blush: two colours, mixed in a pattern of `grain` waves along x, y and z.
        blush_level: how much of the blush there is; 0 is half.
        pose: how far its axis leans from the axis it turns about, and that one to the camera, in degrees.
        length: how much longer it is than wide.
        bend: the arc of its axis from end to end, in radians.
        ribs: the height of five ribs from pole to pole.
        ends, end_size: the colour of both ends, and the distance from the axis that it reaches.
        gloss, bloom: how much it shines, and how much pale wax lies on it, 0 to 1.
        stem: length, thickness and slant.
        cut: whether it is cut in half, to show a kiwi's flesh.
    """

    radii: tuple[float, ...]
    skin: Colour
    blush: Colour
    grain: tuple[float, float, float]
    blush_level: float
    pose: tuple[float, float]
    length: float = 1.0
    bend: float = 0.0
    ribs: float = 0.0
    ends: Colour = (74, 62, 28)
    end_size: float = 0.0
    gloss: float = 0.4
    bloom: float = 0.0
    dots: Dots | None = None
    cap: Cap | None = None
    stem: tuple[float, float, float] | None = None
    cut: bool = False


# A line a theme, not a line an argument: shape, paint, surface and what grows on it.
# fmt: off
_FRUITS = {
    "Apple Red": Fruit(
        radii=(0.70, 0.96, 1.06, 1.05, 1.0, 0.95, 0.91, 0.88, 0.80), length=0.95, pose=(28, 25),
        skin=(172, 18, 26), blush=(208, 118, 50), grain=(8.0, 8.0, 0.6), blush_level=-1.0,
        gloss=0.7, dots=Dots(22, 0.09, 0.0, (236, 200, 150), 0.5), ends=(196, 160, 66), end_size=0.5,
        stem=(0.42, 0.05, 0.12),
    ),
    "Banana": Fruit(
        radii=(1.16, 0.93, 0.96, 1.0, 1.0, 1.0, 0.97, 0.91, 1.07), length=4.0, bend=1.4, ribs=0.05, pose=(90, 68),
        skin=(250, 210, 52), blush=(222, 166, 34), grain=(1.2, 1.2, 4.0), blush_level=-0.8,
        gloss=0.25, dots=Dots(16, 0.1, 0.0, (110, 66, 20), 0.4), end_size=0.42,
    ),
    "Blueberry": Fruit(
        radii=(0.70, 0.94, 1.0, 1.0, 1.0, 1.0, 1.0, 0.98, 0.94), length=0.88, pose=(32, 52),
        skin=(30, 36, 84), blush=(58, 70, 128), grain=(2.2, 2.2, 2.2), blush_level=0.0,
        gloss=0.15, bloom=0.3, cap=Cap(5, 28, 0.1, (22, 22, 46)),
    ),
    "Kiwi": Fruit(
        radii=(0.95, 0.98, 1.0, 1.0, 1.0, 1.0, 1.0, 0.98, 0.96), length=1.25, pose=(33, 68), cut=True,
        skin=(122, 90, 44), blush=(90, 64, 30), grain=(9.0, 9.0, 5.0), blush_level=0.0,
        gloss=0.12, dots=Dots(40, 0.5, 0.02, (150, 118, 66), 0.5),
    ),
    "Lemon": Fruit(
        radii=(1.10, 0.99, 0.98, 1.0, 1.0, 1.0, 0.97, 0.98, 1.17), length=1.28, pose=(62, 15),
        skin=(250, 214, 34), blush=(230, 202, 44), grain=(1.6, 1.6, 1.6), blush_level=-0.2,
        gloss=0.5, dots=Dots(40, 0.35, -0.012, (228, 184, 20), 0.4), cap=Cap(5, 8, 0.03, (128, 130, 50)),
    ),
    "Orange": Fruit(
        radii=(0.93, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.97), length=0.96, pose=(38, 35),
        skin=(246, 132, 12), blush=(250, 152, 24), grain=(1.6, 1.6, 1.6), blush_level=0.0,
        gloss=0.5, dots=Dots(44, 0.35, -0.014, (226, 106, 4), 0.5), cap=Cap(5, 12, 0.05, (84, 110, 40)),
    ),
    "Pear": Fruit(
        radii=(1.34, 1.05, 0.83, 0.81, 0.92, 1.04, 1.08, 1.04, 0.94), length=1.18, pose=(16, 8),
        skin=(184, 190, 62), blush=(206, 168, 70), grain=(1.4, 1.4, 0.9), blush_level=-0.3,
        gloss=0.4, dots=Dots(30, 0.16, 0.0, (110, 100, 36), 0.7), stem=(0.42, 0.045, 0.16),
    ),
    "Plum": Fruit(
        radii=(0.80, 0.96, 1.0, 1.0, 1.0, 1.0, 1.0, 0.98, 0.97), length=1.14, pose=(32, 20),
        skin=(60, 16, 56), blush=(108, 24, 54), grain=(1.5, 1.5, 1.5), blush_level=-0.3,
        gloss=0.55, bloom=0.14, dots=Dots(26, 0.1, 0.0, (196, 150, 150), 0.5), stem=(0.34, 0.04, 0.1),
    ),
    "Strawberry": Fruit(
        radii=(0.80, 0.94, 1.04, 1.04, 0.97, 0.92, 0.95, 1.08, 1.22), pose=(20, 12),
        skin=(204, 18, 28), blush=(226, 60, 40), grain=(1.4, 1.4, 1.4), blush_level=-0.5,
        gloss=0.8, dots=Dots(14, 0.19, -0.05, (240, 200, 90)), cap=Cap(8, 62, 0.1, (74, 140, 40)),
        stem=(0.3, 0.05, 0.1),
    ),
}
# fmt: on
KINDS: tuple[str, ...] = tuple(_FRUITS)


def draw_photograph(kind: str, view: int, size: int = 100, seed: int = 0) -> Image.Image:
    """Draw one view of a turning fruit on white.

    Args:
        kind: one of `KINDS`.
        view: 0, 1, …; each is 12 degrees further, and after each full turn comes another fruit of the kind.
        size: width and height in pixels.
        seed: other seeds give other fruits.

    Returns:
        An RGB image, size x size; equal for equal arguments.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in _FRUITS:
        raise ValueError(f"cannot draw {kind!r}: the kinds are {', '.join(KINDS)}")
    turn, step = divmod(view, VIEWS_A_TURN)
    rng = np.random.default_rng([seed, KINDS.index(kind), turn])
    fruit, hue = _vary(_FRUITS[kind], rng), np.exp(rng.normal(0, 0.07, (3, 1)))
    rotation = _rotation(fruit, 2 * np.pi * (rng.random() + step / VIEWS_A_TURN))
    side = size * _SUPERSAMPLE
    points, hit = _march(fruit, rotation, side, *_box(fruit, rotation))
    colour, height = _paint(fruit, points, rng)
    relief = np.zeros((side, side), np.float32)
    relief[hit] = height
    down, right = np.gradient(relief * size)
    light = _light(fruit, rotation, points, colour * hue.astype(np.float32), np.stack([right[hit], -down[hit]]))
    noise = 4 * np.random.default_rng([seed, view]).standard_normal(light.shape, np.float32)  # the camera's
    pixels = np.full((side, side, 3), 255, np.uint8)
    pixels[hit] = (255 * np.sqrt(light.clip(0, 1)) + noise).clip(0, 255).T
    return Image.fromarray(pixels).reduce(_SUPERSAMPLE)


def draw_photographs(
    folder: Path, views: int = 30, kinds: Sequence[str] = KINDS, size: int = 100, seed: int = 0
) -> int:
    """Draw a data set laid out as Fruits-360: `<folder>/{Training,Test}/<kind>/<view>_100.jpg`.

    Every fourth view is a test image. A file that is there stays as it is.

    Returns:
        How many files were written.

    Raises:
        StorageError: one cannot be written.
    """
    written = 0
    for kind in kinds:
        for view in range(views):
            path = folder / ("Test" if view % 4 == 3 else "Training") / kind / f"{view}_100.jpg"
            if not path.exists():
                _write(draw_photograph(kind, view, size, seed), path)
                written += 1
    return written


def _vary(fruit: Fruit, rng: np.random.Generator) -> Fruit:
    """One fruit of its kind: a little different in shape and blush."""
    angles = np.linspace(0, np.pi, len(fruit.radii))
    bulges = 1 + rng.normal(0, 0.02, 2) @ np.cos([angles, 2 * angles])
    return replace(
        fruit,
        radii=tuple((np.array(fruit.radii) * bulges).tolist()),
        length=fruit.length * float(rng.normal(1, 0.03)),
        blush_level=fruit.blush_level + float(rng.normal(0, 0.15)),
    )


def _rotation(fruit: Fruit, angle: float) -> Array:
    """The 3 x 3 matrix from the fruit's axes to the camera's, at `angle` radians of its turn."""
    lean, tilt = np.radians(fruit.pose)
    cos, sin = np.cos([lean, angle, tilt]), np.sin([lean, angle, tilt])
    leans = [[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]]
    turns = [[cos[1], -sin[1], 0], [sin[1], cos[1], 0], [0, 0, 1]]
    tilts = [[1, 0, 0], [0, sin[2], cos[2]], [0, -cos[2], sin[2]]]
    rotation: Array = (np.array(tilts) @ turns @ leans).astype(np.float32)
    return rotation


@lru_cache
def _profile(radii: tuple[float, ...]) -> tuple[float, ...]:
    """The polynomial, highest power first, that gives the radius for the cosine of the angle from the stem."""
    cosines = np.cos(np.linspace(0, np.pi, len(radii)))
    return tuple(np.polyfit(cosines, radii, len(radii) - 1).tolist())


def _straighten(fruit: Fruit, points: Array) -> Array:
    """Take bend and length out of points (3, n), so that the fruit is about a unit ball."""
    x, y, z = points
    if fruit.bend:
        bow = 2 * fruit.length / fruit.bend
        x, z = bow - np.hypot(bow - x, z), np.arctan2(z, bow - x) * bow
    return np.stack([x, y, z / fruit.length])


def _distance(fruit: Fruit, points: Array) -> Array:
    """About how far points (3, n) are outside the fruit, (n,); negative inside."""
    x, y, z = straight = _straighten(fruit, points)
    reach = np.sqrt(np.einsum("ij,ij->j", straight, straight)) + np.float32(1e-6)
    cosine, radius = z / reach, np.zeros_like(z)
    for coefficient in _profile(fruit.radii):
        radius *= cosine
        radius += np.float32(coefficient)
    if fruit.ribs:
        radius *= 1 + fruit.ribs * np.cos(5 * np.arctan2(y, x)) * (1 - cosine * cosine)
    distance: Array = reach - radius
    if fruit.cut:
        distance = np.maximum(distance, points[2])
    if fruit.stem:
        distance = np.minimum(distance, _stem_distance(fruit, points))
    return distance


def _stem_distance(fruit: Fruit, points: Array) -> Array:
    """How far points (3, n) are outside the stem, (n,): a capsule that is thicker at its end."""
    length, thickness, slant = fruit.stem or (0.0, 0.0, 0.0)
    top = fruit.radii[0] * fruit.length
    axis = np.array([slant, slant / 2, length + 0.1], np.float32)
    offset = points - np.array([[0], [0], [top - 0.1]], np.float32)
    along = (axis @ offset / (axis @ axis)).clip(0, 1)
    offset -= axis[:, None] * along
    distance: Array = np.sqrt(np.einsum("ij,ij->j", offset, offset)) - thickness * (0.7 + 0.6 * along * along)
    return distance


def _box(fruit: Fruit, rotation: Array) -> tuple[Array, Array]:
    """The corners (3,) of the box, in the camera's axes, that the fruit fills: a coarse look from far enough."""
    reach = np.full(3, 1.2 * max(fruit.radii) * max(fruit.length, 1) + (fruit.stem or (0,))[0], np.float32)
    seen = rotation @ _march(fruit, rotation, 64, -reach, reach)[0]
    low, high = seen.min(1), seen.max(1)
    margin = (high - low).max() * np.float32(0.03)
    return low - margin, high + margin


def _march(fruit: Fruit, rotation: Array, side: int, low: Array, high: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Follow a ray from every pixel, through the box from `low` to `high` in the camera's axes, to the fruit.

    Returns:
        points: where the m rays that meet the fruit do so, (3, m), in the fruit's axes.
        hit: which rays these are, (side, side), row by row.
    """
    ticks = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) * (high - low)[:2].max()
    u, v = np.meshgrid((low + high)[0] / 2 + ticks, (low + high)[1] / 2 - ticks)
    points = rotation.T @ np.stack([u, v, np.full_like(u, high[2])]).reshape(3, -1)
    hit = np.zeros(side * side, np.bool_)
    flying, rays = np.arange(side * side), points
    for _ in range(12):
        for _ in range(4):
            distance = _distance(fruit, rays)
            rays = rays - rotation[2][:, None] * (distance * _CAUTION + _PUSH)
        landed = distance < 0
        hit[flying[landed]] = True
        points[:, flying[landed]] = rays.compress(landed, axis=1)
        going = ~landed & (rotation[2] @ rays > low[2])
        flying, rays = flying[going], rays.compress(going, axis=1)
    return points.compress(hit, axis=1), hit.reshape(side, side)


def _smooth(low: float, high: float, values: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between; with low > high, the other way about."""
    share: Array = ((values - low) / (high - low)).clip(0, 1)
    return share * share * (3 - 2 * share)


def _linear(colour: Colour) -> Array:
    """A colour as amounts of light (3, 1), 0 to 1."""
    return np.square(np.array(colour, np.float32)[:, None] / 255)


def _mix(colour: Array, paint: Colour, share: Array) -> Array:
    """Lay a share (n,), 0 to 1, of a paint on colours (3, n)."""
    return colour + (_linear(paint) - colour) * share


def _paint(fruit: Fruit, points: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The colour (3, n) of surface points (3, n), and the height (n,) of the fine relief there."""
    straight = _straighten(fruit, points)
    x, y, _ = straight
    off_axis = np.hypot(x, y)
    polar, around = np.arctan2(off_axis, straight[2]), np.arctan2(y, x)
    waves = (rng.normal(0, 1, (_WAVES, 3)) * fruit.grain).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, (_WAVES, 1)).astype(np.float32)
    pattern = np.sin(waves @ straight + phases).sum(0) * (2 / _WAVES) ** 0.5
    height = 0.002 * pattern
    colour = _mix(_linear(fruit.skin), fruit.blush, _smooth(-1.2, 1.2, pattern + fruit.blush_level))
    if fruit.dots:
        dot = _dots(fruit.dots, polar, around)
        colour = _mix(colour, fruit.dots.colour, dot * fruit.dots.opacity)
        height += dot * fruit.dots.depth
    if fruit.end_size:
        colour = _mix(colour, fruit.ends, _smooth(fruit.end_size, fruit.end_size / 3, off_axis))
    if fruit.bloom:
        colour = _mix(colour, (188, 196, 226), fruit.bloom * _smooth(1.5, -1.5, pattern))
    if fruit.cap:
        star = float(np.radians(fruit.cap.reach)) * (1 - 0.55 * np.abs(np.sin(fruit.cap.points / 2 * around)))
        cap = _smooth(1.08, 0.92, polar / star)
        colour = _mix(colour, fruit.cap.colour, cap)
        height += cap * (fruit.cap.height - height)
    if fruit.cut:
        inside = points[2] > -0.02
        colour, height = np.where(inside, _flesh(off_axis, around), colour), np.where(inside, 0, height)
    if fruit.stem:
        colour = _mix(colour, (104, 78, 40), _smooth(0.02, 0.01, _stem_distance(fruit, points)))
    return colour, height


def _dots(dots: Dots, polar: Array, around: Array) -> Array:
    """How much of a dot, 0 to 1, there is at the angles (n,) from the stem and around the axis, in radians."""
    row = np.float32(np.pi / dots.rows)
    ring = np.floor(polar / row)
    in_ring = np.round(2 * np.pi * np.sin((ring + 0.5) * row) / row).clip(1)
    place = around / (2 * np.pi) * in_ring + ring * 0.618
    cell = np.floor(place)
    chance = np.sin(ring * 12.99 + cell % in_ring * 78.23) * 43.7 % 1
    east = (place - cell - 0.3 - 0.4 * chance) * 2 * np.pi / in_ring * np.sin(polar) / row
    north = polar / row - ring - 0.3 - 0.4 * (chance * 57.3 % 1)
    return _smooth(1.3, 0.6, np.hypot(east, north * 0.75) / (dots.radius * (0.7 + 0.6 * chance)))


def _flesh(off_axis: Array, around: Array) -> Array:
    """The colour (3, n) of a cut kiwi at distances and angles (n,) about its axis: core, seeds, rays, rim."""
    rays = 0.5 + 0.5 * np.cos(34 * around + 2 * np.sin(5 * around))
    colour = _linear((112, 158, 30)) * (0.75 + 0.5 * rays * _smooth(0.9, 0.3, off_axis))
    colour = _mix(colour, (206, 220, 120), _smooth(0.52, 0.26, off_axis) * (0.4 + 0.3 * rays))
    colour = _mix(colour, (236, 236, 186), _smooth(0.28, 0.20, off_axis * (1 + np.float32(0.12) * np.cos(3 * around))))
    place = around / (2 * np.pi) * 30
    cell = np.floor(place)
    ring = 0.40 + 0.07 * np.sin(cell * 2.4) + 0.03 * np.sin(cell * 5.1)
    seed: Array = np.hypot((place - cell - 0.5) * off_axis * 2 * np.pi / 30 / 0.024, (off_axis - ring) / 0.05)
    colour = _mix(colour, (24, 18, 12), _smooth(1.2, 0.8, seed))
    return _mix(colour, (120, 92, 44), _smooth(0.94, 0.97, off_axis))


def _light(fruit: Fruit, rotation: Array, points: Array, colour: Array, slope: Array) -> Array:
    """The light (3, n) from surface points (3, n): a lamp, the sky and a soft box, less in hollows.

    Lambert and Blinn-Phong; the normal is the gradient of `_distance`, tilted by the relief's `slope` (2, n) to the
    right and up.
    """
    here = _distance(fruit, points)
    normal = np.stack([_distance(fruit, points + 0.01 * axis[:, None]) - here for axis in rotation])
    normal /= np.linalg.norm(normal, axis=0) + np.float32(1e-9)
    facing = normal[2].clip(0, 1)
    normal[:2] -= slope * facing
    normal /= np.linalg.norm(normal, axis=0) + np.float32(1e-9)
    sky = (0.35 + 0.65 * _distance(fruit, points + 0.3 * (rotation.T @ normal)) / 0.3).clip(0.15, 1)
    diffuse = ((_LAMP @ normal + 0.2) / 1.2).clip(0, 1) * np.sqrt(sky) + (0.20 + 0.12 * normal[1]) * sky
    shine = (1 - facing) ** 4 * 0.12
    for lamp, sharpness, strength in ((_LAMP, 60, 0.9), (_SOFT_BOX, 30, 0.12)):
        halfway = lamp / np.linalg.norm(lamp) + np.array([0, 0, 1], np.float32)
        shine += (halfway / np.linalg.norm(halfway) @ normal).clip(0, 1) ** sharpness * strength
    light: Array = colour * diffuse * 1.15 + fruit.gloss * shine * sky
    return light


def _write(photograph: Image.Image, path: Path) -> None:
    with refusals(f"The photograph {path} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.part")  # what is there when we are interrupted stays for good
        photograph.save(unfinished, format="JPEG", quality=95)
        unfinished.replace(path)
