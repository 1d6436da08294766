"""What can be wrong with disks, files and limits: what each command says of it, and what the next run does.

`{f}` is the test's folder. In it are `lake`, after a run on `photographs`, and `more`, which has new ones.
"""

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bronze.inventories import Named, make_inventory, write_inventory
from tests.faulty import Surroundings

GOES_ON = "does what was left"
REPAIR = "after `fruits doctor --repair` does what was left"
REPAIR_INSIDE = "after `fruits doctor --repair --thorough` does what was left"
NOTHING = "is not affected"
BY_HAND = "works when that is done"

NEW = "run --images {f}/more"
OLD = "run --images {f}/photographs"
SQL = 'sql "SELECT count(DISTINCT path) FROM gold.projections"'
PHOTOGRAPH = "{f}/photographs/Apple/0.png"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, and what is said of it.

    Attributes:
        what: is wrong.
        command: that meets it.
        says: a part of what it says; a regular expression.
        next_run: what the next run does, when the surroundings are well again.
        arrange: makes it so, in the test's folder.
        around: makes it so around the command alone.
        status: the command's.
    """

    what: str
    command: str
    says: str
    next_run: str = GOES_ON
    arrange: Callable[[Path], object] | None = None
    around: Surroundings = field(default_factory=Surroundings)
    status: int = 1


def failing(calls: str, error: int, below: str) -> Surroundings:
    """System calls that fail on some files."""
    return Surroundings(calls=f" {calls} ", error=error, below=below)


def mounted(options: str, where: str, *then: str) -> Surroundings:
    """A disk in memory mounted over a folder, with what was there on it."""
    copy = f"cp -a {where} {{f}}/copy; mount -t tmpfs -o mode=777,{options} tmpfs {where}; cp -a {{f}}/copy/. {where}/"
    return Surroundings(mounts=(copy, *then))


def filled(where: str) -> Surroundings:
    """A disk of a few megabytes that is full to the last block."""
    return mounted("size=9m", where, f"dd if=/dev/zero of={where}/filler bs=4k 2>{{f}}/dd || true")


def limited(**limits: int) -> Surroundings:
    """The limits of a process: `RLIMIT_…`."""
    return Surroundings(limits=limits)


ORDINARY = Surroundings(ordinary=True)


def data_files(table: str) -> Callable[[Path], list[Path]]:
    """The data files of a table."""
    return lambda folder: sorted((folder / "lake" / table).glob("*.parquet"))


def newest_entry(table: str) -> Callable[[Path], list[Path]]:
    """The newest entry of a table's log."""
    return lambda folder: sorted((folder / "lake" / table / "_delta_log").glob("*.json"))[-1:]


def lake_file(name: str) -> Callable[[Path], list[Path]]:
    """A file of the lake, or of the test's folder."""
    return lambda folder: [folder / name]


Files = Callable[[Path], list[Path]]


def each(files: Files, change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Change each of some files."""
    return lambda folder: [change(file) for file in files(folder)]


def closed(file: Path) -> None:
    """Nobody may read it."""
    file.chmod(0)


def cut(file: Path) -> None:
    """Its end is missing."""
    os.truncate(file, 100)


def cut_in_the_middle(file: Path) -> None:
    """Half of it is missing."""
    os.truncate(file, file.stat().st_size // 2)


def noise(file: Path) -> None:
    """It holds something else."""
    file.write_bytes(b"\x07noise" * 500)


def pages_damaged(file: Path) -> None:
    """Its first pages are other bytes, and its footer is whole."""
    content = file.read_bytes()
    file.write_bytes(content[:100] + bytes(255 - byte for byte in content[100:600]) + content[600:])


def to_folder(file: Path) -> None:
    """A folder has its name."""
    shutil.rmtree(file) if file.is_dir() else file.unlink()
    file.mkdir()


def to_file(folder: Path) -> None:
    """A file has the folder's name."""
    shutil.rmtree(folder)
    folder.write_text("x")


def to_pipe(file: Path) -> None:
    """A pipe has its name, which nobody writes to."""
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def foreign_owner(folder: Path) -> None:
    """Somebody else's, and nobody else may look into it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 12345, 12345)
        path.chmod(0o700)


def astray(log: Path) -> None:
    """The file that leads readers to the newest checkpoint names one that is not there."""
    (log / "_last_checkpoint").write_text('{"version":77,"size":1}')


def half_a_note(folder: Path) -> None:
    """A run was killed while it wrote that it began."""
    (folder / "lake/runs/_open").mkdir(exist_ok=True)
    (folder / "lake/runs/_open/x.json").write_text('{"id": "x", "comm')


def ahead(folder: Path) -> None:
    """Files are of the year 2096."""
    for path in (folder / "lake/bronze").rglob("*"):
        os.utime(path, (4e9, 4e9))


def of_another_release(database: Path) -> None:
    """MLflow's database says that it is of a release that nobody knows."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'tomorrow'")


NO_SPACE, FAILS = r"No space left on device\. Free space on that disk", r"Input/output error\. The disk, or the way"
CLOSED, DOCTOR = r"Permission denied\. .*Change its permissions", r"`fruits doctor` says what is lost"
FULL_DISK = r"No space left on device\. .* Free space on that disk"
LEASE = r"The lease {f}/lake/lease\.json cannot be written: "

FULL = [
    Fault("the lake's disk is full", NEW, LEASE + FULL_DISK, NOTHING, around=filled("{f}/lake")),
    *(
        Fault(f"it is full when `{command.split()[0]}` begins", command, LEASE + FULL_DISK, NOTHING, around=filled("{f}/lake"))
        for command in ("relabel 0.png Kiwi", "rollback 1", f"forget file://{PHOTOGRAPH}", "bronze --images {f}/more", "silver", "gold", "maintain")
    ),
    *(
        Fault(f"it is full when {name} is written", NEW, rf"lake/{table}/.* cannot be written: .*{NO_SPACE}",
              around=failing("write", errno.ENOSPC, f"lake/{table}/part"))
        for table, name in (("bronze/contents", "a photograph"), ("silver/features", "a feature"), ("gold/projections", "a projection"))
    ),
    Fault("it is full when the log is written", NEW, rf"images/_delta_log cannot be written: .*{NO_SPACE}",
          around=failing("write", errno.ENOSPC, "images/_delta_log")),
    Fault("the quota is used up", NEW, r"Disk quota exceeded\. Free space within the quota", around=failing("write", errno.EDQUOT, "lake/bronze")),
    Fault("no inode is free", NEW, NO_SPACE, NOTHING, around=mounted("size=64m,nr_inodes=400", "{f}/lake", "cd {f}/lake; seq 400 | xargs touch 2>{f}/dd || true")),
    *(
        Fault(f"stdout of `{command.split()[0]}` goes to a full disk", command, rf"stdout: {NO_SPACE}", NOTHING, around=Surroundings(stdout="/dev/full"))
        for command in (OLD, SQL, "history", "models", "quarantine", "config", "doctor", f"identify {PHOTOGRAPH}", "--help", "emr plan")
    ),
    Fault("the report's disk is full", "report --output {f}/out/r.html", rf"out/r\.html cannot be written: {NO_SPACE}", NOTHING, around=filled("{f}/out")),
    Fault("an answer's disk is full", f"{SQL} --output {{f}}/out/a.csv", rf"out/a\.csv cannot be written: {NO_SPACE}", NOTHING, around=filled("{f}/out"), status=2),
    Fault("an answer goes to a device that is full", f"{SQL} --format csv --output /dev/full", rf"/dev/full cannot be written: {NO_SPACE}", NOTHING, status=2),
    Fault("a report goes to a device that is full", "report --output /dev/full", rf"/dev/full cannot be written: {NO_SPACE}", NOTHING),
]  # fmt: skip
CLOSED_TO_ME = [
    Fault("the lake's disk is read-only", NEW, LEASE + r"Read-only file system", NOTHING, around=mounted("size=64m", "{f}/lake", "mount -o remount,ro {f}/lake")),
    Fault("a read-only lake is asked", SQL, r"\b9\b", NOTHING, around=mounted("size=64m", "{f}/lake", "mount -o remount,ro {f}/lake"), status=0),
    *(
        Fault(f"the lake is somebody else's: `{command.split()[0]}`", command, CLOSED, BY_HAND, each(lake_file("lake"), foreign_owner), ORDINARY)
        for command in (OLD, SQL, "models", "report --output {f}/r.html", f"identify {PHOTOGRAPH}", "history", "quarantine", "doctor --repair", "maintain")
    ),
    Fault("a data file may not be read", SQL, rf"gold\.projections cannot be read: .*Permission denied.*{DOCTOR}", BY_HAND, each(data_files("gold/projections"), closed), ORDINARY),
    Fault("an entry of the log may not be read", SQL, r"_delta_log/.*json: Permission denied\. Change its permissions", BY_HAND, each(newest_entry("gold/projections"), closed), ORDINARY),
    Fault("the photographs may not be listed", OLD, rf"The folder file://{{f}}/photographs cannot be listed: {CLOSED}", BY_HAND, each(lake_file("photographs"), closed), ORDINARY),
    Fault("one photograph may not be read", OLD, r"1 quarantined|9 unchanged", GOES_ON, each(lake_file("photographs/Apple/0.png"), closed), ORDINARY, status=0),
    Fault("a photograph to identify may not be read", f"identify --format json {PHOTOGRAPH}", r"It cannot be read: Permission denied", NOTHING, each(lake_file("photographs/Apple/0.png"), closed), ORDINARY),
]  # fmt: skip
LIMITS = [
    Fault("few files may be open", NEW, r"Too many open files\. Raise this process' limit", around=limited(RLIMIT_NOFILE=15)),
    Fault("files may not be large", NEW, r"cannot be written: File too large\. Raise the limit", around=limited(RLIMIT_FSIZE=4_000)),
    Fault("a report may not be large", "report --output {f}/r.html", r"r\.html cannot be written: File too large", NOTHING, around=limited(RLIMIT_FSIZE=3_000)),
    Fault("no processor time is left", NEW, "", around=limited(RLIMIT_CPU=0), status=-24),
]  # fmt: skip
DISKS = [
    Fault("the disk fails when a photograph is written", NEW, rf"cannot be written: {FAILS}", around=failing("write", errno.EIO, "contents/part")),
    Fault("the disk fails when a table is read", SQL, r"cannot be read: .*Input/output error", NOTHING, around=failing("read", errno.EIO, "projections/part")),
    Fault("the disk fails when a log is read", SQL, rf"projections cannot be opened: .*{FAILS}", NOTHING, around=failing("read", errno.EIO, "projections/_delta_log")),
    Fault("the disk fails when the report reads", "report --output {f}/r.html", r"Input/output error", NOTHING, around=failing("read", errno.EIO, "projections/part")),
    Fault("the network's disk has gone", NEW, r"Stale file handle\. The disk is reached over a network", around=failing("read write", errno.ESTALE, "lake/gold")),
    Fault("the disk knows no hard links", NEW, r"_delta_log cannot be written: .*Operation not permitted\..*hard links", around=failing("link", errno.EPERM, "lake/bronze")),
    Fault("the disk knows no locks", NEW, LEASE + r"No locks available\. .*a disk that knows file locks", around=failing("flock", errno.ENOLCK, "lake/lease")),
    Fault("the disk renames nothing", NEW, r"cannot be written: Operation not permitted", around=failing("rename", errno.EPERM, "lake/runs")),
    Fault("the terminal has gone", SQL, r"stdout: Input/output error", NOTHING, around=failing("write", errno.EIO, "stdout-of-a-command")),
]  # fmt: skip
LOST = [
    *(
        Fault(f"a data file of gold.projections is gone: `{command.split()[0]}`", command, rf"projections.*{DOCTOR}", REPAIR, each(data_files("gold/projections"), Path.unlink))
        for command in (SQL, "report --output {f}/r.html", f"identify {PHOTOGRAPH}", "rollback 1", f"forget file://{PHOTOGRAPH}")
    ),
    Fault("a data file of bronze.images is gone", "relabel 0.png Kiwi", rf"images/part-.* is gone\. {DOCTOR}", REPAIR, each(data_files("bronze/images"), Path.unlink)),
    Fault("a data file is cut off", SQL, rf"projections.*{DOCTOR}", REPAIR, each(data_files("gold/projections"), cut)),
    Fault("a data file holds something else", f"identify {PHOTOGRAPH}", rf"projections.*{DOCTOR}", REPAIR, each(data_files("gold/projections"), noise)),
    Fault("a folder has a data file's name", SQL, rf"projections.*{DOCTOR}", BY_HAND, each(data_files("gold/projections"), to_folder)),
    Fault("pages of a data file are damaged", SQL, r"cannot be read: .*`fruits doctor --thorough` says what is lost", REPAIR_INSIDE, each(data_files("gold/projections"), pages_damaged)),
    Fault("the report meets damaged pages", "report --output {f}/r.html", r"cannot be read: .*`fruits doctor --thorough` says", REPAIR_INSIDE, each(data_files("gold/projections"), pages_damaged)),
    *(
        Fault(f"half a commit of {table}: `{command.split()[0]}`", command, rf"_delta_log/\d+\.json ends early: it is half a commit\. {DOCTOR}", REPAIR, each(newest_entry(table), cut))
        for table, command in (("gold/projections", OLD), ("runs", "history"), ("silver/scaled", "maintain"))
    ),
    Fault("a log leads to a checkpoint that is gone", SQL, rf"projections cannot be opened: .*_last_checkpoint names a checkpoint that is gone\. {DOCTOR}", REPAIR, each(lake_file("lake/gold/projections/_delta_log"), astray)),
    Fault("a file has the lake's name", SQL, r"cannot be listed: Not a directory\. A file is where a folder is needed", BY_HAND, each(lake_file("lake"), to_file)),
    Fault("a folder has the lease's name", OLD, LEASE + "Is a directory", BY_HAND, each(lake_file("lake/lease.json"), to_folder)),
    Fault("the lease holds something else", OLD, r"9 unchanged", GOES_ON, each(lake_file("lake/lease.json"), noise), status=0),
    Fault("a killed run has left half a note", OLD, r"9 unchanged", GOES_ON, half_a_note, status=0),
    Fault("the clock was ahead when files were written", OLD, r"9 unchanged", GOES_ON, ahead, status=0),
    Fault("no lake is there", SQL, r"There are no tables in file://{f}/lake", BY_HAND, each(lake_file("lake"), shutil.rmtree)),
    Fault("the photographs' folder is gone", OLD, r"photographs cannot be listed: No such file or directory", BY_HAND, each(lake_file("photographs"), shutil.rmtree)),
    Fault("a photograph to identify is gone", "identify --format json {f}/gone.png", r"It cannot be read: No such file", NOTHING),
    Fault("the folder for an answer is not there", f"{SQL} --output {{f}}/no/a.csv", r"no/a\.csv cannot be written: No such file or directory", NOTHING, status=2),
    Fault("a folder has an answer's name", f"{SQL} --format csv --output {{f}}/out", r"out cannot be written: Is a directory", NOTHING, status=2),
    Fault("a name is longer than disks allow", f"{SQL} --output {{f}}/{'n' * 252}.csv", r"cannot be written: File name too long\. Use a shorter name", NOTHING, status=2),
]  # fmt: skip
MLFLOW = [
    Fault("half a commit of registry/models", "models", rf"_delta_log/\d+\.json ends early: it is half a commit\. {DOCTOR}", REPAIR, each(newest_entry("registry/models"), cut)),
    *(
        Fault(f"{what}: `doctor`", "doctor --format json", rf'"name": "mlflow", "ok": false, .*{says}', NOTHING, each(lake_file(f"lake/{name}"), change))
        for what, says, name, change in (
            ("MLflow's database holds something else", "mlflow.db does not work: .*file is not a database", "mlflow/mlflow.db", noise),
            ("MLflow's database is cut off", "mlflow.db does not work", "mlflow/mlflow.db", cut_in_the_middle),
            ("MLflow's database is of a release that nobody knows", "mlflow.db has the schema 'tomorrow'", "mlflow/mlflow.db", of_another_release),
            ("a file has the name of MLflow's folder", "A file is where a folder is needed", "mlflow", to_file),
        )
    ),
]  # fmt: skip
SERVING = [
    Fault("the demo's disk is full", "demo --folder {f}/out/d", r"out/d/photographs/.*cannot be written: " + NO_SPACE, NOTHING, around=filled("{f}/out")),
    Fault("a file has the demo's folder's name", f"demo --folder {PHOTOGRAPH}", r"0\.png/photographs.* cannot be written: .*Not a directory\. A file is where a folder is needed", NOTHING),
    Fault("the settings may not be read", "setup", r"settings\.yaml.*Permission denied", BY_HAND, each(lake_file("settings.yaml"), closed), ORDINARY, 2),
    Fault("the settings are a folder", "setup", r"settings\.yaml.*Is a directory", BY_HAND, each(lake_file("settings.yaml"), to_folder), status=2),
    *(
        fault
        for command in ("app", "ui")
        for fault in (
            Fault(f"no lake is there: `{command}`", command, r"`fruits run` makes", BY_HAND, each(lake_file("lake"), shutil.rmtree)),
            Fault(f"a file has the lake's name: `{command}`", command, r"cannot be listed: Not a directory\. A file is where a folder is needed", BY_HAND, each(lake_file("lake"), to_file)),
            Fault(f"the lake is somebody else's: `{command}`", command, CLOSED, BY_HAND, each(lake_file("lake"), foreign_owner), ORDINARY),
        )
    ),
    Fault("stdout of `ui` goes to a full disk", "ui", rf"stdout: {NO_SPACE}", NOTHING, around=Surroundings(stdout="/dev/full")),
    *(
        Fault(f"half a commit of {table}: `{command}`", command, rf"_delta_log/\d+\.json ends early: it is half a commit\. {DOCTOR}", REPAIR, each(newest_entry(table), cut))
        for table, command in (("gold/projections", "app"), ("bronze/images", "ui"))
    ),
    Fault("a data file of gold.projections is gone: `app`", "app", rf"projections.*{DOCTOR}", REPAIR, each(data_files("gold/projections"), Path.unlink)),
    Fault("MLflow's database holds something else: `ui`", "ui", r"mlflow\.db does not work: .*file is not a database", NOTHING, each(lake_file("lake/mlflow/mlflow.db"), noise)),
]  # fmt: skip
INVENTORY = "run --images inventory+file://{f}/told/pictures/all"


def told(kind: str, change: Callable[[Path], object]) -> Callable[[Path], object]:
    """An S3 Inventory of the bucket `pictures` in the test's folder, with something wrong."""

    def arrange(folder: Path) -> None:
        made = make_inventory("pictures", kind, [[Named("Apple/0.png")]], datetime(2026, 3, 7, tzinfo=UTC))
        change(write_inventory(folder / "told", made))

    return arrange


def said(**fields: object) -> Callable[[Path], object]:
    """Other values in an inventory's manifest."""

    def change(folder: Path) -> None:
        manifest = next(folder.glob("*/manifest.json"))
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **fields}))

    return change


INVENTORIES = [
    Fault(f"an S3 Inventory {what}", INVENTORY, says, BY_HAND, told("CSV", change))
    for what, says, change in (
        ("is of the format ORC", r"has the format ORC, which is not read here\. Have S3 write CSV or Parquet", said(fileFormat="ORC")),
        ("has not the fields that are needed", r"has no field Size and no LastModifiedDate\. Add it", said(fileSchema="Bucket, Key")),
        ("has a manifest that is no JSON", r"is no manifest of an S3 Inventory, or not whole", lambda folder: noise(next(folder.glob("*/manifest.json")))),
        ("is not there yet", r"holds no inventory, which S3 writes as", lambda folder: next(folder.glob("*/manifest.json")).unlink()),
        ("has a data file that is cut off", r"is not whole, or was changed: its MD5 is", lambda folder: cut(next(folder.glob("data/*")))),
        ("lacks a data file", r"a data file of the inventory, cannot be read: No such file", lambda folder: next(folder.glob("data/*")).unlink()),
        ("lies where another bucket's do", r"is an inventory of the bucket other, and lies where those of pictures do", said(sourceBucket="other")),
    )
]  # fmt: skip
FAULTS = [*FULL, *CLOSED_TO_ME, *LIMITS, *DISKS, *LOST, *SERVING, *INVENTORIES]
