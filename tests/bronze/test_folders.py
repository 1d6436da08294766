"""Label and split by folders: the layouts that data sets come in, with what is certain of each."""

from pathlib import Path

import pytest

from bronze.folders import FolderLabels, FolderNames, label_and_split
from fruits.settings import load_settings

NAMES = FolderNames.of(load_settings().splits, load_settings().unlabelled_folders)


@pytest.mark.parametrize(
    ("root", "path", "label", "split"),
    [
        ("/f", "Training/Apple Red 1/0_100.jpg", "Apple Red 1", "Training"),
        ("/f", "Test/Kiwi/0_100.jpg", "Kiwi", "Test"),
        ("/f", "VALIDATION/Kiwi/0.jpg", "Kiwi", "VALIDATION"),
        ("/f", "fruits-360/100x100/train/Kiwi/0.jpg", "Kiwi", "train"),
        ("/f", "Kiwi/0.jpg", "Kiwi", None),
        ("/f", "green/Kiwi/0.jpg", "Kiwi", None),
        ("/f", "Test/green/Kiwi/0.jpg", "green", "Test"),
        ("/f", "0.jpg", None, None),
        ("/f", "Training/0.jpg", None, "Training"),
        ("/f", "Contest/Kiwi/0.jpg", "Kiwi", None),
        ("/f", "Training/Testing/0.jpg", None, "Testing"),
        ("/f/Training", "Kiwi/0.jpg", "Kiwi", "Training"),
        ("/f/Training", "0.jpg", None, "Training"),
        ("/f/Training/Kiwi", "0.jpg", "Kiwi", "Training"),
        ("/f/Kiwi", "0.jpg", None, None),
        ("/f", " /%20/#+.jpg", "%20", None),
        # The split below the label, above other folders, or named as a set.
        ("/f", "Apple/train/x.png", "Apple", "train"),
        ("/f", "fruits/Apple/images/test/x.png", "Apple", "test"),
        ("/f", "Test/Apple/closeups/x.png", "Apple", "Test"),
        ("/f", "training_set/cats/x.png", "cats", "training_set"),
        ("/f", "Test_Set/cats/x.png", "cats", "Test_Set"),
        ("/f/train", "Apple/closeups/x.png", "Apple", "train"),
        ("/f/Apple", "train/x.png", None, "train"),
        # What no folder says is not guessed from the file's name.
        ("/f", "train/cat.0.png", None, "train"),
        # Folders that hold photographs and say nothing of them.
        ("/f", "train/images/x.png", None, "train"),
        ("/f", "images/train/x.png", None, "train"),
        ("/f", "train/images/Apple/x.png", "Apple", "train"),
        ("/f", "Apple/images/x.png", "Apple", None),
        ("/f", "IMAGES/x.png", None, None),
        ("/f/Training/images", "x.png", None, "Training"),
        ("s3://bucket", "Apple/x.png", "Apple", None),
        ("s3://bucket/f", "/train//Apple/x.png", "Apple", "train"),
        # Parts of a key without a name.
        ("s3://bucket", "/x.png", None, None),
        ("s3://bucket", "Apple/ /x.png", "Apple", None),
        ("s3://bucket/train/Apple", "/x.png", "Apple", "train"),
    ],
)
def test_folders_say_label_and_split(root: str, path: str, label: str | None, split: str | None) -> None:
    """Whichever folder of a data set was named as the root."""
    uri = root if "://" in root else f"file://{root}"
    assert label_and_split(f"{uri}/{path}", uri, NAMES) == (label, split)


@pytest.mark.parametrize(
    ("folders", "path", "expected"),
    [
        (["valid", "invalid"], "valid/x.png", ("valid", None)),
        (["valid", "invalid"], "invalid/x.png", ("invalid", None)),
        (["train/valid", "train/Invalid"], "train/valid/x.png", ("valid", "train")),
        (["valid", "train"], "valid/x.png", (None, "valid")),
        (["valid/Apple", "train/Apple"], "valid/Apple/x.png", ("Apple", "valid")),
    ],
)
def test_valid_beside_invalid_is_a_label(
    tmp_path: Path, folders: list[str], path: str, expected: tuple[str | None, str | None]
) -> None:
    """And a split elsewhere."""
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    root = f"file://{tmp_path}"
    assert FolderLabels(root, NAMES).of(f"{root}/{path}") == expected
