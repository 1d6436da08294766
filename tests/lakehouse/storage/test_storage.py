"""Storage: names as they are, links, and folders that cannot be listed."""

import os
from pathlib import Path

import pytest

from lakehouse.errors import StorageError
from lakehouse.storage import identity_of, list_files, list_folders, read_file, write_file, write_new_file
from lakehouse.storage.uri import absolute_uri, local_path

ODD_NAMES = [
    "a b.jpg",
    " leading and trailing ",
    "a%20b.jpg",
    "a#b.jpg",
    "a+b.jpg",
    "a?b=c&d.jpg",
    "a:b.jpg",
    "a\\b.jpg",
    "a'b\"c.jpg",
    "a*[b]{c}.jpg",
    "line\nbreak.jpg",
    "caf\u00e9.jpg",
    "cafe\u0301.jpg",
    "漢字.jpg",
    "🍎.jpg",
    "_x.jpg",
    ".x.jpg",
    "file:",
    "n" * 251 + ".jpg",
    "é" * 125 + "n.jpg",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_name_of_a_file_is_kept_as_it_is(tmp_path: Path, name: str) -> None:
    """The URI ends in the name itself, nothing encoded, and reads the file back."""
    (tmp_path / name).write_bytes(name.encode())
    (file,) = list_files(absolute_uri(str(tmp_path)), recursive=False)
    assert file.path == f"file://{tmp_path}/{name}"
    assert (file.length, file.rule) == (len(name.encode()), None)
    assert local_path(file.path) == tmp_path / name
    assert read_file(file.path, 1000) == name.encode()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_name_of_a_folder_is_kept_as_it_is(tmp_path: Path, name: str) -> None:
    """A folder's listing and its files carry the folder's name itself."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.jpg").write_bytes(b"a")
    assert list_folders(f"file://{tmp_path}") == [f"file://{tmp_path}/{name}"]
    assert [file.path for file in list_files(f"file://{tmp_path}", recursive=True)] == [
        f"file://{tmp_path}/{name}/a.jpg"
    ]
    assert absolute_uri(f"file://{tmp_path}/{name}") == f"file://{tmp_path}/{name}"


def test_name_that_is_no_utf8_is_listed_with_a_rule_and_readable_bytes(tmp_path: Path) -> None:
    """Of a file, or of a folder above it: the path can be stored as UTF-8, and the rule says why it is passed over."""
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"abc")
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "x.jpg").write_bytes(b"")
    files = sorted(list_files(f"file://{tmp_path}", recursive=True), key=lambda file: file.path)
    assert [(file.path, file.length, file.rule) for file in files] == [
        (f"file://{tmp_path}/\\xff/x.jpg", 0, "name_is_not_utf8"),
        (f"file://{tmp_path}/caf\\xe9.jpg", 3, "name_is_not_utf8"),
    ]


def test_links_to_files_are_files_and_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """A link to a folder above could be followed for ever."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "far.jpg").write_bytes(b"far away")
    (root / "near.jpg").symlink_to(tmp_path / "far.jpg")
    (root / "up").symlink_to(tmp_path)
    (root / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = {local_path(file.path).name: file for file in list_files(f"file://{root}", recursive=True)}
    assert {name: file.rule for name, file in found.items()} == {
        "near.jpg": None,
        "up": "not_a_file",
        "broken.jpg": "broken_link",
    }
    assert found["near.jpg"].length == len(b"far away")
    assert list_folders(f"file://{root}") == []


def test_pipe_is_listed_with_a_rule(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (file,) = list_files(f"file://{tmp_path}", recursive=False)
    assert file.rule == "not_a_file"


def test_recursion_is_asked_for(tmp_path: Path) -> None:
    """Without `recursive` the files of the folder alone are listed; folders are listed sorted, files of none."""
    for name in ("b/c/2.jpg", "a/1.jpg", "0.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = f"file://{tmp_path}"
    assert [file.path for file in list_files(root, recursive=False)] == [f"{root}/0.jpg"]
    assert {file.path for file in list_files(root, recursive=True)} == {
        f"{root}/{name}" for name in ("0.jpg", "a/1.jpg", "b/c/2.jpg")
    }
    assert list_folders(root) == [f"{root}/a", f"{root}/b"]


@pytest.mark.parametrize("seconds", [0, 1, 315532800, 4102444800])
def test_modification_time_is_exact_microseconds(tmp_path: Path, seconds: int) -> None:
    """Whatever the year: microseconds are what a table's timestamp holds."""
    (tmp_path / "a.jpg").touch()
    os.utime(tmp_path / "a.jpg", ns=(0, seconds * 10**9 + 123_456_789))
    (file,) = list_files(f"file://{tmp_path}", recursive=False)
    assert file.modified == seconds * 10**6 + 123_456


@pytest.mark.parametrize("deep", [True, False])
def test_missing_folder_is_an_error_not_an_empty_folder(tmp_path: Path, deep: bool) -> None:
    """An unmounted disk must not look like photographs that were all removed."""
    with pytest.raises(StorageError, match=r"folder file://.*/none cannot be listed: No such file or directory"):
        list(list_files(f"file://{tmp_path}/none", recursive=deep))
    with pytest.raises(StorageError, match=r"folder file://.*/none cannot be listed: No such file or directory"):
        list_folders(f"file://{tmp_path}/none")


def test_file_is_no_folder(tmp_path: Path) -> None:
    """A file named where a folder is meant is an error that says so."""
    (tmp_path / "a.jpg").touch()
    with pytest.raises(StorageError, match=r"folder file://.*/a\.jpg cannot be listed: Not a directory"):
        list_folders(f"file://{tmp_path}/a.jpg")


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    """No more than the limit is held in memory."""
    (tmp_path / "a").write_bytes(b"0123456789")
    assert [read_file(f"file://{tmp_path}/a", limit) for limit in (0, 4, 10, 99)] == [
        b"",
        b"0123",
        b"0123456789",
        b"0123456789",
    ]


def test_folder_is_named_in_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, with `~`, with dots, with a slash at its end, or as a URI: one folder, one URI."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    uri = f"file://{tmp_path}/a"
    ways = ("a", "a/", "./a", "b/../a", "~/a", f"{tmp_path}/a", f"{tmp_path}//a/", uri, f"{uri}/")
    assert {absolute_uri(way) for way in ways} == {uri}


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "a folder's name is needed"), ("  ", "name is needed"), ("ftp://x/y", "the scheme ftp:// is not supported")],
)
def test_name_that_is_no_folder_is_refused(name: str, message: str) -> None:
    """A scheme nobody can read, or no name at all."""
    with pytest.raises(ValueError, match=message):
        absolute_uri(name)


def test_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As a device is: root who named one would have had a file in its place."""
    os.mkfifo(tmp_path / "pipe")
    with os.fdopen(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        write_file(f"file://{tmp_path}/pipe", b"written")
        assert reader.read() == b"written"
    assert (tmp_path / "pipe").is_fifo()


def test_identity_is_a_contents(tmp_path: Path) -> None:
    """Another content, and another file in its place, have another; a file that is not there has none."""
    file = tmp_path / "file"
    assert identity_of(f"file://{file}") is None
    file.write_bytes(b"one")
    first = identity_of(f"file://{file}")
    assert identity_of(f"file://{file}") == first
    (tmp_path / "other").write_bytes(b"one")
    os.utime(tmp_path / "other", ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    (tmp_path / "other").replace(file)
    second = identity_of(f"file://{file}")
    file.write_bytes(b"three")
    assert len({first, second, identity_of(f"file://{file}")}) == 3


def test_new_file_is_written_once(tmp_path: Path) -> None:
    """The second writer is told, the first one's content stays, and nothing else is left."""
    uri = absolute_uri(str(tmp_path / "entry.json"))
    assert (write_new_file(uri, b"first"), write_new_file(uri, b"second")) == (True, False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"entry.json": b"first"}
    with pytest.raises(StorageError, match="cannot be written"):
        write_new_file(absolute_uri(str(tmp_path / "entry.json" / "no folder")), b"")


def test_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    """To a file, by way of another link, and to one that is not there yet: what the link points to is written."""
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "by way").symlink_to("there")
    for name, target in (("link", "by way"), ("dangling", "elsewhere/new")):
        link = tmp_path / name
        link.symlink_to(target)
        write_file(f"file://{link}", b"new")
        assert (str(link.readlink()), link.read_bytes()) == (target, b"new")
    assert (tmp_path / "there").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["by way", "dangling", "elsewhere", "link", "there"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    """With what to do, and left as they are."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError, match=r"/a cannot be written: Too many levels .* Links lead in a circle"):
        write_file(f"file://{tmp_path}/a", b"")
    assert (tmp_path / "a").is_symlink()
