"""HEIC from a phone, in the app and in a browser that cannot draw it."""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bronze.formats import FORMATS
from bronze.photograph import decode
from fruits.app.messages import chosen_from
from fruits.app.reading import PREVIEW
from fruits.identify.identifier import Identifier
from fruits.settings import Settings
from tests.bronze.corpus import UPRIGHT, encoded, noise
from tests.bronze.phone import display_p3, heic, of_display_p3, turned_heic
from tests.fruits.app.conftest import App
from tests.fruits.app.test_browser import GIVE, answered, file, refused

LARGE = UPRIGHT.repeat(25, axis=0).repeat(25, axis=1)
"""600 × 400: what a browser shows of it can be compared block by block."""

PHONES: dict[str, Callable[[], bytes]] = {
    "turned": lambda: turned_heic(LARGE, 6, 6),
    "turned and mirrored, EXIF otherwise": lambda: turned_heic(LARGE, 7, 3),
    "EXIF alone": lambda: turned_heic(LARGE, 1, 6),
    "Display P3": lambda: heic(of_display_p3(LARGE), icc_profile=display_p3()),
    "among others": lambda: heic(noise(48, 32), [LARGE, noise(24, 16)], primary_index=1, thumbnails=[64]),
    "in tiles": lambda: heic(LARGE, tile_size=256, thumbnails=[64]),
}
SHOWN = """async (image) => {
  await image.decode();
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const context = Object.assign(document.createElement("canvas"), { width, height })
    .getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const middle = (of, n, size) => Math.floor((n + 0.5) * size / of);
  const at = [0, 1].flatMap((row) => [0, 1, 2].map((column) => [middle(3, column, width), middle(2, row, height)]));
  return [width, height, at.map(([x, y]) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3))];
}"""


WIDTH = """async (image, wanted) => {
  for (let n = 0; n < 1000 && image.naturalWidth !== wanted; n++) await new Promise((later) => setTimeout(later, 10));
  return image.naturalWidth;
}"""


def drawn_wide(page: Any, width: int) -> bool:
    """Whether the photograph that the page shows comes to be of this width."""
    return bool(page.eval_on_selector("#photograph", WIDTH, width) == width)


def blocks(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The colours in the middle of the six blocks, shape (6, 3)."""
    height, width = picture.shape[:2]
    rows, columns = [height // 4, 3 * height // 4], [width // 6, width // 2, 5 * width // 6]
    return picture[np.ix_(rows, columns)].reshape(6, 3).astype(np.int64)


@pytest.mark.parametrize("kind", PHONES)
def test_what_is_shown_is_what_the_network_sees_and_the_lake_takes(
    app: App, served_settings: Settings, kind: str
) -> None:
    """The preview, the features that are asked about, and those of a lake's photograph, are of the same pixels."""
    content = PHONES[kind]()
    pixels = np.asarray(decode(content))
    answer = app.ask("POST", "/identify", content).json
    with Image.open(io.BytesIO(base64.b64decode(answer["preview"]))) as preview:
        assert preview.size == (600, 400)
        np.testing.assert_allclose(blocks(np.asarray(preview.convert("RGB"))), blocks(pixels), atol=10)
    np.testing.assert_allclose(blocks(pixels), blocks(LARGE), atol=8)
    same = app.ask("POST", "/identify", encoded(pixels, "PNG")).json
    assert answer["at"] == pytest.approx(same["at"], abs=1e-3)
    assert same["preview"] is None
    taken = Identifier.open(served_settings).identify(content)
    assert answer["at"] == pytest.approx([float(value) for value in taken.components[:2]], abs=1e-3)


@pytest.mark.parametrize("kind", PHONES)
def test_browser_that_cannot_draw_it_shows_what_the_server_saw(opened: Callable[..., Any], kind: str) -> None:
    """The picture, upright, and no hole."""
    page, content = opened(), PHONES[kind]()
    page.set_input_files("#file", file(content, "IMG_1234.HEIC", "image/heic"))
    answered(page)
    assert drawn_wide(page, 600)
    width, height, colours = page.eval_on_selector("#photograph", SHOWN)
    assert (width, height) == (600, 400)
    np.testing.assert_allclose(colours, blocks(LARGE), atol=12)
    assert page.is_visible("#photograph")


@pytest.mark.parametrize("kind", ["", "image/heic"])
@pytest.mark.parametrize("event", ["drop", "paste"])
def test_heic_is_dropped_or_pasted(opened: Callable[..., Any], event: str, kind: str) -> None:
    """Also where the system does not know what it is."""
    page = opened()
    page.evaluate(GIVE, [event, "IMG_1234.HEIC", base64.b64encode(heic(LARGE)).decode(), kind])
    answered(page)
    assert drawn_wide(page, 600)


def test_large_heic_is_shown_small(opened: Callable[..., Any]) -> None:
    """As a preview, whose longer side is what a screen shows of it."""
    page = opened()
    page.set_input_files("#file", file(heic(LARGE.repeat(2, axis=0).repeat(2, axis=1)), "IMG_1234.HEIC", "image/heic"))
    answered(page)
    assert drawn_wide(page, PREVIEW)


def test_preview_of_one_photograph_is_not_shown_for_the_next(opened: Callable[..., Any], fruit: bytes) -> None:
    """One that the browser draws itself comes after it, then one that nobody can."""
    page = opened()
    for content, width in ((heic(LARGE), 600), (fruit, 48), (turned_heic(LARGE, 8, 8), 600)):
        page.set_input_files("#file", file(content))
        assert drawn_wide(page, width)
        assert page.is_visible("#photograph")
    page.set_input_files("#file", file(heic(LARGE)[:-50], "IMG_1234.HEIC", "image/heic"))
    assert refused(page).startswith("The end of the picture is missing.")


def test_file_dialogue_offers_each_format_that_is_taken(
    opened: Callable[..., Any], app: App, served_settings: Settings
) -> None:
    """By the ends of names, too, of which a system may not know that they are pictures'; and no other."""
    offered = opened().get_attribute("#file", "accept").split(",")
    taken = [called for name, called in FORMATS.items() if name in served_settings.formats]
    assert offered == ["image/*", *(suffix for called in taken for suffix in called.suffixes)]
    assert {".heic", ".heif", ".avif", ".tiff", ".jpg"} <= {*offered}
    assert ".jp2" not in offered
    assert ".jp2" in chosen_from([*served_settings.formats, "JPEG2000"])
