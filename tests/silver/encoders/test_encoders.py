"""Encoders by their names: another one is a module and a line, and needs nothing else to be changed."""

import sys
from collections.abc import Sequence
from inspect import isfunction, signature
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from fruits.identify.identifier import Identifier
from fruits.operations.doctor import examine
from fruits.operations.run import run_layers
from fruits.settings import load_settings
from gold.tables import MODELS
from lakehouse.errors import SettingsError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from silver.encoders import ENCODERS, encoder_module, module_of, prepare_encoder
from silver.encoders.base import Encoder, EncoderModule, Predict
from silver.featurize import Encoding
from tests.conftest import add_photographs, photograph

BRIGHTNESS = """
import numpy as np
from bronze.photograph import decode
from silver.encoders.base import Encoder

def load():
    return lambda contents: np.array([np.asarray(decode(one)).mean(axis=(0, 1)) for one in contents], np.float32)

def prepare(weights, folder):
    return Encoder("brightness-r1", 3, load)

def reopen(feature_version, folder):
    return load()

def convert_ahead(weights):
    return True

def weights_uri(weights):
    return None

def weights_file(weights):
    return None
"""
"""A whole encoder: the mean of each colour."""


@pytest.fixture
def brightness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that lies outside of the packages, as somebody would add one."""
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / "brightness.py").write_text(BRIGHTNESS)
    monkeypatch.syspath_prepend(str(tmp_path / "encoders"))
    monkeypatch.setitem(ENCODERS, "brightness", "brightness")
    monkeypatch.delitem(sys.modules, "brightness", raising=False)


@pytest.mark.parametrize("photographs", [6, 80])  # computed by this process, and by others
def test_another_encoder_goes_all_the_way(brightness: None, tmp_path: Path, photographs: int) -> None:
    """From the setting to features, a PCA, and what a photograph is."""
    add_photographs(tmp_path / "photographs", "Apple", range(photographs))
    settings = load_settings(images=str(tmp_path / "photographs"), lake=str(tmp_path / "lake"), encoder="brightness")
    assert run_layers(settings)["silver"]["featurized"] == photographs
    (model,) = delta.rows_where(Lake(settings.lake), MODELS, "pca_version", [1], ["feature_version", "components"])
    assert model["feature_version"] == "brightness-r1"
    assert 1 <= model["components"] <= 3
    answer = Identifier.open(settings).identify(photograph(0))
    assert answer.neighbours[0].path.endswith("/Apple/0.png")
    assert answer.neighbours[0].distance == pytest.approx(0.0, abs=1e-3)


def test_doctor_says_that_an_encoder_needs_no_weights(brightness: None, tmp_path: Path) -> None:
    """Which is something else than a network without training."""
    settings = load_settings(lake=str(tmp_path / "lake"), encoder="brightness")
    found = {finding.name: finding for finding in examine(settings)}
    assert (found["weights"].ok, found["weights"].found) == (True, "none needed by the encoder brightness")


def test_unknown_encoder_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    """Before anything is made."""
    settings = load_settings(images=str(tmp_path), lake=str(tmp_path / "lake"), encoder="resnet")
    known = ", ".join(ENCODERS)
    with pytest.raises(SettingsError, match=f"Unknown encoder 'resnet'; the setting `encoder` is one of: {known}."):
        run_layers(settings)
    assert not (tmp_path / "lake").exists()


def test_feature_version_begins_with_its_encoder() -> None:
    """So that features can be computed again by what made them."""
    assert module_of("mobilenetv2-0123456789ab-r1") is encoder_module("mobilenetv2")
    with pytest.raises(SettingsError, match="Unknown encoder 'vit'"):
        module_of("vit-r1")


def test_encoders_name_may_have_a_hyphen_and_begin_with_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the names that a feature version begins with, the longest is its encoder's."""
    for name in ("bright", "bright-er"):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(ENCODERS, name, name)
    assert module_of("bright-er-r1") is sys.modules["bright-er"]
    assert module_of("bright-r1") is sys.modules["bright"]


def test_feature_version_of_another_name_is_refused(brightness: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a feature is computed, rather than when a photograph is to be identified by what made them."""
    monkeypatch.setitem(ENCODERS, "lightness", "brightness")
    with pytest.raises(ValueError, match="The encoder lightness has the feature version 'brightness-r1'"):
        prepare_encoder("lightness", None, "")


@pytest.mark.parametrize("name", ENCODERS)
def test_module_of_an_encoder_has_every_function_with_the_interfaces_parameters(name: str) -> None:
    """Which mypy cannot see, because the modules are imported by their names."""
    functions = [one for one in vars(EncoderModule).items() if isfunction(one[1]) and not one[0].startswith("_")]
    assert len(functions) == 5
    for function, expected in functions:
        demanded = [*signature(expected).parameters][1:]
        assert [*signature(getattr(encoder_module(name), function)).parameters] == demanded, function


def images(*contents: bytes) -> list[pa.RecordBatch]:
    """Rows of `bronze.images` as far as features need them."""
    rows = [
        {"path": f"{at}.png", "label": "Kiwi", "split": None, "sha256": str(at), "batch": 1, "content": content}
        for at, content in enumerate(contents)
    ]
    return [pa.RecordBatch.from_pylist(rows)]


def encoding(name: str, predict: Predict) -> Encoding:
    """With a version of its own: processes keep an encoder by its version."""
    return Encoding(Encoder(name, 2, lambda: predict))


def test_photograph_that_fails_in_a_batch_is_named() -> None:
    """An encoder gets many at once; the error is the first one's that has one on its own."""

    def fails_at_b(contents: Sequence[memoryview]) -> NDArray[np.float32]:
        if b"b" in contents:
            raise ValueError("no features")
        return np.zeros((len(contents), 2), np.float32)

    with pytest.raises(ValueError, match="no features") as raised:
        list(encoding("fails-at-b", fails_at_b)(iter(images(b"a", b"b", b"c"))))
    assert raised.value.__notes__ == ["The photograph is 1.png."]


def test_error_of_the_whole_batch_is_raised_as_it_is() -> None:
    """Where no photograph fails alone, as when a batch does not fit into a device's memory."""

    def fails_at_many(contents: Sequence[memoryview]) -> NDArray[np.float32]:
        if len(contents) > 1:
            raise MemoryError("too many")
        return np.zeros((1, 2), np.float32)

    with pytest.raises(MemoryError, match="too many"):
        list(encoding("fails-at-many", fails_at_many)(iter(images(b"a", b"b"))))


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (4,)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Instead of written in rows that they do not belong to."""
    wrong = encoding(f"shape-{shape}", lambda _: np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=r"makes 2 features a photograph; of 2 photographs it has made an array"):
        list(wrong(iter(images(b"a", b"b"))))


def test_each_encoder_has_what_the_commands_ask_for() -> None:
    """All functions of `EncoderModule`, in each module that is listed."""
    for name in ENCODERS:
        module = encoder_module(name)
        assert isinstance(module, ModuleType)
        for function in ("prepare", "reopen", "convert_ahead", "weights_uri", "weights_file"):
            assert callable(getattr(module, function)), f"{name}.{function}"
