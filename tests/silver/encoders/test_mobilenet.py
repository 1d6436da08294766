"""MobileNetV2 through LiteRT: Keras' own features, from one conversion."""

import hashlib
import io
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from lakehouse.errors import TamperedModelError
from lakehouse.storage import read_file
from silver.encoders import module_of
from silver.encoders.base import WeightsNotFoundError
from silver.encoders.mobilenet import converted_model, load_model, prepare
from silver.encoders.mobilenet.inference import load_predict, pixels
from silver.encoders.mobilenet.weights import keras_weights
from silver.featurize import Encoding
from silver.tables import FEATURES
from tests.conftest import photograph

IMAGES = os.environ.get("FRUITS_TEST_IMAGES")
real = pytest.mark.skipif(
    not keras_weights().is_file() or not IMAGES,
    reason="needs MobileNetV2's weights under KERAS_HOME and photographs under FRUITS_TEST_IMAGES",
)
KERAS = """
import sys, numpy as np, keras
from PIL import Image
MobileNetV2 = keras.applications.MobileNetV2
network = MobileNetV2(weights="imagenet", include_top=False, pooling="avg", input_shape=(224, 224, 3))
images = [Image.open(path).convert("RGB").resize((224, 224), Image.BICUBIC) for path in sys.argv[2:]]
np.save(sys.argv[1], network.predict(np.stack([np.asarray(one, "float32") for one in images]) / 127.5 - 1, verbose=0))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a lake keeps its models."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def untrained(folder: Path) -> tuple[str, str]:
    """The untrained model, converted once: its version and its file."""
    return converted_model("untrained", f"file://{folder}")


@pytest.fixture(scope="module")
def flatbuffer(untrained: tuple[str, str]) -> bytes:
    """The untrained model as it is in its file."""
    return read_file(untrained[1])


def test_untrained_model_says_so(untrained: tuple[str, str], folder: Path) -> None:
    """The feature version names what the features are of, and the file is named after it."""
    version, model = untrained
    content = (folder / f"{version}.tflite").read_bytes()
    assert version == f"mobilenetv2-untrained-{hashlib.sha256(content).hexdigest()[:16]}-r1"
    assert model == f"file://{folder}/{version}.tflite"
    assert content[4:8] == b"TFL3"  # as a flatbuffer of TensorFlow Lite's begins


def test_model_is_converted_once(untrained: tuple[str, str], folder: Path) -> None:
    """A second call finds the flatbuffer, and nothing half-written is left beside it."""
    path = folder / f"{untrained[0]}.tflite"
    before = path.stat()
    assert converted_model("untrained", f"file://{folder}") == untrained
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert [*folder.iterdir()] == [path]


def test_encoder_loads_the_model_from_its_file(untrained: tuple[str, str], folder: Path, flatbuffer: bytes) -> None:
    """In another process as in this one: it is small when it is pickled, and computes the same features there."""
    packed = pickle.dumps(Encoding(prepare("untrained", f"file://{folder}")))
    assert len(packed) < 1000 < len(flatbuffer)
    content = photograph(1)
    images = pa.table({"path": ["a"], "label": ["Kiwi"], "split": ["Test"], "sha256": ["1"], "batch": [1]})
    images = images.append_column("length", pa.array([len(content)])).append_column("content", pa.array([content]))
    (made,) = pickle.loads(packed)(images.to_batches())
    expected = {
        "path": "a",
        "label": "Kiwi",
        "split": "Test",
        "sha256": "1",
        "batch": 1,
        "feature_version": untrained[0],
    }
    (row,) = made.to_pylist()
    np.testing.assert_array_equal(row.pop("features"), load_predict(flatbuffer)([memoryview(content)])[0])
    assert row == expected
    assert {*made.schema.names} == {*FEATURES.schema.names}


def test_features_are_computed_again_by_what_the_lake_keeps(untrained: tuple[str, str], folder: Path) -> None:
    """By their version alone, as an answer needs them; without the file an error says how to get it back."""
    content = [memoryview(photograph(1))]
    module = module_of(untrained[0])
    again = module.reopen(untrained[0], f"file://{folder}")
    np.testing.assert_array_equal(again(content), load_model(untrained[1])(content))
    with pytest.raises(WeightsNotFoundError, match=r"mobilenetv2-lost-r1\.tflite is not there: `fruits run` makes it"):
        module.reopen("mobilenetv2-lost-r1", f"file://{folder}")


def test_model_that_is_not_the_one_its_version_names_is_not_loaded(untrained: tuple[str, str], tmp_path: Path) -> None:
    """One byte more, and LiteRT never sees it; one that release 0.1.0 has named, by its weights alone, is taken."""
    module, version = module_of(untrained[0]), untrained[0]
    other = tmp_path / f"{version}.tflite"
    other.write_bytes(read_file(untrained[1]) + b"\0")
    with pytest.raises(TamperedModelError, match=r"has the SHA-256 [0-9a-f]{16}…, not the one in its name"):
        module.reopen(version, f"file://{tmp_path}")
    other.rename(tmp_path / "mobilenetv2-untrained-r1.tflite")
    assert converted_model("untrained", f"file://{tmp_path}")[0] == "mobilenetv2-untrained-r1"
    features = module.reopen("mobilenetv2-untrained-r1", f"file://{tmp_path}")([memoryview(photograph(1))])
    assert features.shape == (1, 1280)


def test_lake_stays_with_the_model_that_it_has(tmp_path: Path) -> None:
    """Though this machine's TensorFlow would convert the same weights differently."""
    kept = tmp_path / "mobilenetv2-untrained-0123456789abcdef-r1.tflite"
    kept.write_bytes(b"converted elsewhere")
    version, model = converted_model("untrained", f"file://{tmp_path}")
    assert (version, model) == (kept.stem, f"file://{kept}")
    assert [*tmp_path.iterdir()] == [kept]


def test_features_keep_their_scale(flatbuffer: bytes) -> None:
    """1280 finite float32 features that tell photographs apart, neither vanishing nor exploding."""
    predict = load_predict(flatbuffer)
    features = predict([memoryview(photograph(seed, size=(64, 64))) for seed in range(4)])
    assert (features.shape, features.dtype) == ((4, 1280), np.dtype("float32"))
    assert np.isfinite(features).all()
    assert 1e-3 < features.std() < 1e3
    assert features.std(axis=0).max() > 1e-3


def test_same_photograph_has_the_same_features(flatbuffer: bytes) -> None:
    """Features depend on the photograph alone: not on the interpreter, nor on what it computed before."""
    one, other = photograph(1), photograph(2)
    first, second = load_predict(flatbuffer), load_predict(flatbuffer)
    expected = first([memoryview(one)])
    first([memoryview(other)])
    np.testing.assert_array_equal(first([memoryview(one)]), expected)
    np.testing.assert_array_equal(second([memoryview(other), memoryview(one)])[1:], expected)


def test_untrained_weights_are_fixed(flatbuffer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another conversion, on another machine, computes the same features: the version promises it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _, again = converted_model("untrained", f"file://{tmp_path}")
    content = [memoryview(photograph(1))]
    expected = load_predict(flatbuffer)(content)
    np.testing.assert_allclose(load_model(again)(content), expected, rtol=1e-6)


def test_another_lake_takes_the_model_from_the_cache(
    untrained: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a machine has converted is copied, not converted again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "fruits").mkdir()
    (tmp_path / "fruits" / f"{untrained[0]}.tflite").write_bytes(b"converted before")
    _, model = converted_model("untrained", f"file://{tmp_path}/lake")
    assert model == f"file://{tmp_path}/lake/{untrained[0]}.tflite"
    assert read_file(model) == b"converted before"


@pytest.mark.parametrize(("size", "mode"), [((8, 8), "RGB"), ((300, 200), "RGB"), ((1, 1), "L"), ((40, 30), "CMYK")])
def test_prepared_photograph_is_rgb_of_224_pixels(size: tuple[int, int], mode: str) -> None:
    """Whatever the size and the colours, the model sees uint8 RGB of 224 × 224."""
    content = io.BytesIO()
    Image.new(mode, size).save(content, "JPEG")
    prepared = pixels(content.getvalue())
    assert (prepared.shape, prepared.dtype) == ((224, 224, 3), np.dtype("uint8"))


def test_photograph_is_resized_as_the_reference_does() -> None:
    """Pillow's bicubic resampling of the RGB pixels."""
    content = photograph(3, size=(100, 60))
    expected = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(pixels(memoryview(content)), np.asarray(expected))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    """A weights file that is not there is an error that names it."""
    with pytest.raises(WeightsNotFoundError, match=r"nowhere\.h5, where there is no file"):
        converted_model(str(tmp_path / "nowhere.h5"), f"file://{tmp_path}")


@real
def test_features_are_keras_own(tmp_path: Path) -> None:
    """On a real photograph of each label, features equal Keras' predict with ImageNet weights to 1e-3."""
    photographs = [min(label.iterdir()) for label in sorted(Path(str(IMAGES), "Test").iterdir())]
    script = [sys.executable, "-c", KERAS, str(tmp_path / "expected.npy"), *map(str, photographs)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run(script, check=True, env=environment, capture_output=True)
    version, model = converted_model(None, f"file://{tmp_path}/models")
    predict = load_model(model)
    actual = predict([memoryview(one.read_bytes()) for one in photographs])
    assert re.fullmatch(r"mobilenetv2-[0-9a-f]{12}-[0-9a-f]{16}-r1", version)
    np.testing.assert_allclose(actual, np.load(tmp_path / "expected.npy"), atol=1e-3)
