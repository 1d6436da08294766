"""Settings: defaults, then the file, then the environment, then options; what is wrong is named with its source."""

from pathlib import Path

import pytest

from fruits.query.config import Setting, list_settings
from fruits.settings import Settings, load_settings
from lakehouse.errors import SettingsError
from lakehouse.settings import to_yaml


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory that has no conf/local.yaml."""
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    """Write a settings file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_defaults_set_every_key() -> None:
    """With no file, no environment and no options there is a value for each key, and the lake is here."""
    settings = load_settings()
    assert settings.model_fields_set == set(Settings.model_fields)
    assert settings.lake == f"file://{Path.cwd()}/lake"
    assert (settings.images, settings.removed_images, settings.refit) == (None, "keep", "auto")


def test_file_replaces_the_values_and_lists_it_names_and_no_other(tmp_path: Path) -> None:
    """A list of the file is not merged with the default; keys it leaves out keep theirs."""
    file = write(tmp_path / "mine.yaml", "threshold: 0.9\nsplits: [lesson]\n")
    settings, defaults = load_settings(file), load_settings()
    assert (settings.threshold, settings.splits) == (0.9, ["lesson"])
    changed = {"threshold", "splits"}
    assert settings.model_dump(exclude=changed) == defaults.model_dump(exclude=changed)


@pytest.mark.parametrize(
    ("section", "removed"), [("spark", "spark.sql.session.timeZone"), ("spark_local", "spark.ui.enabled")]
)
def test_mapping_is_merged_key_by_key_and_null_removes_a_key(tmp_path: Path, section: str, removed: str) -> None:
    """One key under `spark:` leaves the others as they are; options go over the file in the same way."""
    text = f"{section}: {{spark.driver.memory: 6g, {removed}: null, spark.mine: 1, spark.unknown: null}}\n"
    shipped = load_settings()
    expected = {**getattr(shipped, section), "spark.driver.memory": "6g", "spark.mine": 1}
    del expected[removed]
    file = write(tmp_path / "mine.yaml", text)
    assert load_settings(file) == shipped.model_copy(update={section: expected})
    del expected["spark.mine"]
    options = {section: {"spark.mine": None, "spark.driver.memory": "8g"}}
    assert getattr(load_settings(file, **options), section) == {**expected, "spark.driver.memory": "8g"}
    empty = write(tmp_path / "empty.yaml", f"{section}: {{}}\n")
    assert load_settings(empty) == shipped


def test_written_settings_are_read_back(tmp_path: Path) -> None:
    """As they are."""
    settings = load_settings(spark={"spark.driver.memory": "6g"}, images=str(tmp_path))
    file = write(tmp_path / "written.yaml", to_yaml(settings.model_dump(mode="json")))
    assert load_settings(file) == settings


def test_empty_file_changes_nothing(tmp_path: Path) -> None:
    """A file of comments is a file."""
    assert load_settings(write(tmp_path / "mine.yaml", "# nothing yet\n")) == load_settings()


def test_conf_local_yaml_of_the_working_directory_is_the_default_file(tmp_path: Path) -> None:
    """It is read where no file is named, and only then."""
    write(tmp_path / "conf" / "local.yaml", "threshold: 0.7\n")
    assert load_settings().threshold == 0.7
    assert load_settings(write(tmp_path / "mine.yaml", "readers: 2\n")).threshold == 0.8


def test_option_goes_over_environment_goes_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three values for a key the nearest to the caller counts; an option of None and an empty variable are none."""
    file = write(tmp_path / "mine.yaml", "threshold: 0.5\nreaders: 2\nmax_bytes: 10\nlake: from-file\n")
    monkeypatch.setenv("FRUITS_THRESHOLD", "0.6")
    monkeypatch.setenv("FRUITS_READERS", "3")
    monkeypatch.setenv("FRUITS_LAKE", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///somewhere.db")
    settings = load_settings(file, threshold=0.7, readers=None)
    assert (settings.threshold, settings.readers, settings.max_bytes) == (0.7, 3, 10)
    assert settings.lake == f"file://{tmp_path}/from-file"
    assert settings.tracking_uri == "sqlite:///somewhere.db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold: 0.9", r"Unknown setting `treshold` in .*mine\.yaml\. Valid settings: .*threshold"),
        ("threshold: high", r"`threshold` in .*mine\.yaml is 'high': .*number"),
        ("threshold: 1.5", r"`threshold` in .*mine\.yaml is 1\.5: .*less than or equal to 1"),
        ("readers: 0", r"`readers` in .*mine\.yaml is 0: .*greater than or equal to 1"),
        ("removed_images: forget", r"`removed_images` in .*mine\.yaml is 'forget': .*'keep' or 'delete'"),
        ("images_access: free", r"`images_access` in .*mine\.yaml is 'free': .*'signed', 'requester_pays' or 'public'"),
        (
            "{images: s3://b/photographs, lake: s3://b/lake, images_access: public}",
            r"`images_access` in .*mine\.yaml is 'public': the lake is in the photographs' bucket b",
        ),
        ("formats: [JPEG, HEIC]", r"`formats\.1` in .*mine\.yaml is 'HEIC': .*'JPEG', 'PNG'.*'TIFF'"),
        ("formats: []", r"`formats` in .*mine\.yaml is \[\]: .*at least 1"),
        ("splits: train", r"`splits` in .*mine\.yaml is 'train': .*list"),
        ("spark:", r"`spark` in .*mine\.yaml is None: .*dictionary"),
        ("spark: {spark.x: [1]}", r"`spark\.spark\.x\.str` in .*mine\.yaml is \[1\]"),
        ("spark: [a]", r"`spark` in .*mine\.yaml is \['a'\]: .*dictionary"),
        ("scaler_variance_range: [1.1, 0.9]", r"`scaler_variance_range\.0` in .*mine\.yaml is 1\.1: .*less than 1"),
        ("images: https://example.org", r"`images` in .*mine\.yaml is 'https:.*the scheme https:// is not supported"),
        ("lake: ''", r"`lake` in .*mine\.yaml is '': .*name is needed"),
        ("lake:", r"`lake` in .*mine\.yaml is None: .*string"),
        ("1: 2", r"Unknown setting `1` in .*mine\.yaml"),
    ],
)
def test_wrong_line_of_a_file_is_named_with_key_file_value_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    """Whoever reads the message need not look into the code."""
    with pytest.raises(SettingsError, match=message):
        load_settings(write(tmp_path / "mine.yaml", text))


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    """Two mistakes cost one run, not two."""
    with pytest.raises(SettingsError, match=r"(?s)`readers` .*\nUnknown setting `tresh` "):
        load_settings(write(tmp_path / "mine.yaml", "tresh: 1\nreaders: 0\n"))


def test_wrong_value_of_the_environment_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, which is where to look."""
    monkeypatch.setenv("FRUITS_REFIT", "sometimes")
    with pytest.raises(SettingsError, match=r"`refit` in FRUITS_REFIT is 'sometimes': .*'auto', 'always' or 'never'"):
        load_settings()


def test_wrong_option_is_named_as_it_was_typed() -> None:
    """The message names the option of the command, in its own spelling."""
    with pytest.raises(SettingsError, match=r"`max_bytes` in --max-bytes is -1: .*greater than 0"):
        load_settings(max_bytes=-1)


def test_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    """A file that was asked for is never passed over."""
    with pytest.raises(SettingsError, match=r"settings file .*none\.yaml cannot be read: No such file or directory"):
        load_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", r"mine\.yaml is not valid YAML: (?s:.*)line 1"),
        (b"lake: \xff\xfe\xfa", r"mine\.yaml is not valid YAML"),
        (b"- threshold: 0.9\n", r"mine\.yaml must hold `key: value` lines, not a list"),
        (b"threshold 0.9\n", r"mine\.yaml must hold `key: value` lines, not a str"),
    ],
)
def test_file_that_is_no_mapping_in_yaml_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    """The message names the file, and the line where YAML knows it."""
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        load_settings(file)


def test_photographs_nobody_named_are_asked_for_with_the_three_ways_to_name_them(tmp_path: Path) -> None:
    """`source` is the images' URI, or an error that says what to do."""
    assert load_settings(images=str(tmp_path)).source == f"file://{tmp_path}"
    with pytest.raises(SettingsError, match=r"--images FOLDER.*FRUITS_IMAGES.*key `images`"):
        _ = load_settings().source


@pytest.mark.parametrize("name", ["a%20b", "a#b", "a?b", "a\\b", "a\nb", "a\tb", "a\x7fb"])
def test_lake_is_refused_a_name_that_delta_reads_as_a_url(tmp_path: Path, name: str) -> None:
    """What an engine would take for an escape or the end of a URL is refused before anything is written."""
    with pytest.raises(SettingsError, match=r"`lake` in --lake .* is named without"):
        load_settings(lake=str(tmp_path / name))


@pytest.mark.parametrize("name", ["2024#", "a%20b"])
def test_lake_is_refused_a_link_to_such_a_name(tmp_path: Path, name: str) -> None:
    """delta-rs follows links, also those above the lake; nothing is made there."""
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    with pytest.raises(SettingsError, match=r"leads to '.*(2024|20b).*', and is named without [#%], which"):
        load_settings(lake=str(tmp_path / "link" / "not yet" / "lake"))
    assert list((tmp_path / name).iterdir()) == []


@pytest.mark.parametrize(
    ("lake", "message"),
    [
        ("s3://bucket/a%20b/lake", "is named without %, which delta-rs"),
        ("s3://bucket/a:b/lake", "does not begin with a:, which delta-rs reads as a URL's scheme"),
        (f"s3://bucket/{'é' * 100}/lake", "a lake's name is shorter"),
    ],
)
def test_lake_on_s3_is_refused_names_that_delta_does_not_come_to(lake: str, message: str) -> None:
    """At once, in words."""
    with pytest.raises(SettingsError, match=message):
        load_settings(lake=lake)


@pytest.mark.parametrize("name", ["best {of} 2024", "[2024]", "a]b", "a*b", "it's", "a+b:c"])
def test_lake_may_have_any_other_name(tmp_path: Path, name: str) -> None:
    """Also where photographs lie, brackets and all."""
    settings = load_settings(lake=str(tmp_path / name / "lake"), images=str(tmp_path / "a[1]%20#?"))
    assert (settings.lake, settings.images) == (f"file://{tmp_path}/{name}/lake", f"file://{tmp_path}/a[1]%20#?")


@pytest.mark.parametrize("lake", ["s3://bucket//lake", "s3://bucket/a/./lake", "s3://bucket/../lake"])
def test_lake_on_s3_with_an_empty_or_dotted_part_is_refused(lake: str) -> None:
    """At once, in words: delta-rs refuses it later, with a traceback."""
    with pytest.raises(
        SettingsError, match=r"`lake` in --lake is '.*': no part of a lake's name is empty, `.` or `..`"
    ):
        load_settings(lake=lake)


# ---- where a setting comes from -------------------------------------------------------------------------------------


def test_each_setting_is_listed_with_what_gave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped file, a person's, a variable, an option; of a mapping each key, and values as they count."""
    file = write(tmp_path / "mine.yaml", "threshold: 0.9\nlake: elsewhere\nspark: {spark.mine: 1}\n")
    monkeypatch.setenv("FRUITS_REFIT", "never")
    found = {one.name: one for one in list_settings(file, {"engine": "local", "images": None})}
    shipped = "the shipped conf/local.yaml"
    assert found["threshold"] == Setting("threshold", 0.9, str(file))
    assert found["lake"] == Setting("lake", f"file://{tmp_path}/elsewhere", str(file))
    assert found["refit"] == Setting("refit", "never", "FRUITS_REFIT")
    assert found["engine"] == Setting("engine", "local", "--engine")
    assert found["images"] == Setting("images", None, shipped)
    assert found["spark spark.mine"] == Setting("spark spark.mine", 1, str(file))
    assert {one.source for name, one in found.items() if name.startswith("spark ")} == {shipped, str(file)}
    assert {name.partition(" ")[0] for name in found} == set(Settings.model_fields)


def test_wrong_setting_is_named_rather_than_listed(tmp_path: Path) -> None:
    """As by each command that needs it."""
    with pytest.raises(SettingsError, match="`refit` in --refit is 'sometimes'"):
        list(list_settings(None, {"refit": "sometimes"}))
