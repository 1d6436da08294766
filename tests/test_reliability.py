"""`docs/reliability.md` says what the tests prove: its table is made here, from the tests themselves.

After a change: `python -m tests.test_reliability > docs/reliability.md`.
"""

import ast
from pathlib import Path

import pytest

from bronze.reasons import Reason
from tests.bronze.test_bad_input import CORPUS
from tests.faults import FAULTS, MLFLOW
from tests.fruits.app.test_bombs import BOMBS
from tests.fruits.operations.test_maintain import POINTS
from tests.fruits.operations.test_rollback import MANY_READS, READS
from tests.lakehouse.lease.test_lease import MANY_RACES, RACES
from tests.names import NAMES
from tests.test_crash import BETWEEN_PORTIONS, RUN
from tests.test_faults_s3 import REFUSALS
from tests.test_publication import OF_A_REFIT, OF_A_RUN
from tests.test_state_machine import EXAMPLES, STEPS

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
INTRODUCTION = """# What the lakehouse promises, and the test that proves it

Made by `tests/test_reliability.py` from the tests, which fail when this page is out of date. "Killed" is SIGKILL;
servers, other processes and Spark are real ones. `make test` runs all of it but what is called slow here, which
`make test-slow` adds (`.ci/run` runs both), and what `make soak` adds: every crash of a first run, and hundreds of
random steps instead of dozens.

| promise | proved by | how much |
|---|---|---|
"""
Promise = tuple[str, tuple[str, ...], str]
PROMISES: list[Promise] = [
    (
        "**Accounting.** discovered = ingested + unchanged + quarantined + skipped, exactly, every run.",
        ("bronze/test_job.py::run", "test_state_machine.py::test_lake_holds_what_a_plain_model_says"),
        "asserted in each run of the bronze job's tests and of the state machine",
    ),
    (
        "**Nothing passed over in silence.** The lake among the photographs, folders of tools, links, odd keys, and "
        "what cannot be listed or vanishes is counted by rule and named by `fruits doctor`; never taken for removed.",
        (
            "bronze/test_passed_over.py",
            "bronze/test_links.py",
            "lakehouse/storage/test_walk.py",
            "lakehouse/storage/test_walk_s3.py",
            "fruits/operations/test_passed_over.py",
        ),
        "both settings of `removed_images`; keys that no disk can have, on moto's server",
    ),
    (
        "**Crash equality.** Killed at any point of any layer and run again: the tables and the registry of a run that "
        "was not killed.",
        (
            "test_crash.py::test_run_killed_there_and_run_again_is_an_undisturbed_run",
            "silver/test_worker_killed.py",
            "silver/test_executor_killed.py",
            "lakehouse/engine/local/test_workers.py",
        ),
        f"{len(RUN)} points, {len(BETWEEN_PORTIONS)} of them again between portions; a worker process and (slow) an "
        "executor killed in mid-task",
    ),
    (
        "**A death costs a portion.** A first ingest, and its features, are committed in portions; killed between two, "
        "the next run reads and computes only what is not there.",
        ("test_portions.py", "lakehouse/test_portions.py"),
        "SIGKILL; what is there already is replaced by bytes that are no photograph, and nobody reads them",
    ),
    (
        "**No-op re-run.** Nothing new: no commit with data but the run's row in `runs`, no inference, no image byte "
        "read, no Java.",
        ("test_acceptance.py::test_second_run_does_nothing", "silver/test_job.py::test_second_run_does_nothing"),
        "3,936 photographs",
    ),
    (
        "**Proportional work.** n new photographs: exactly n inferences, whatever the lake holds.",
        (
            "test_acceptance.py::test_third_run_does_what_is_new_and_no_more",
            "silver/test_job.py::test_increment_costs_what_is_new",
        ),
        "41 inferences for 40 new and 1 replaced among 3,936",
    ),
    (
        "**Replaced photograph.** One current row, the old one in the table's history.",
        ("bronze/test_job.py::test_replaced_photograph_has_one_current_row_and_the_old_one_in_history",),
        "also with an older time stamp",
    ),
    (
        "**Label and split follow** path, root, settings, manifest and people's corrections, in every layer and in one "
        "run, without inference; a correction is taken back again.",
        (
            "bronze/test_folders.py",
            "bronze/test_difference.py",
            "bronze/test_job.py::test_moved_photograph_takes_the_label_of_its_new_folder",
            "silver/test_job.py::test_moved_photograph_is_copied",
            "test_labels.py",
            "fruits/operations/test_relabel.py",
        ),
        "every step's inferences counted; killed at each point of a correction",
    ),
    (
        "**Old time stamps** among newer files are ingested.",
        ("bronze/test_job.py::test_new_photographs_with_old_time_stamps_are_taken",),
        "1999",
    ),
    (
        "**Any name** works in every command, or is refused before anything is made, with what is wrong with it.",
        (
            "fruits/cli/test_names.py",
            "test_names.py",
            "bronze/test_job.py::test_odd_names_are_ingested_or_reported_with_the_rule",
            "bronze/test_job.py::test_folders_with_odd_names_work_like_any_other",
        ),
        f"{len(NAMES)} names of photographs and labels, others of files, folders, lakes and keys (`tests/names.py`); "
        "slow: with Spark, and of home, cache and code",
    ),
    (
        "**Removed photograph.** Kept, or gone from every current table within one run.",
        (
            "bronze/test_job.py::test_removed_photographs_are_kept_until_deletion_is_asked_for",
            "silver/test_job.py::test_removed_photographs_leave_every_table",
            "gold/test_job.py::test_projections_go_with_the_last_photograph",
        ),
        "both settings",
    ),
    (
        "**Erasure.** After `fruits forget` no file of the lake holds the image's bytes or features.",
        ("fruits/operations/test_forget.py",),
        "every file of the lake scanned, read as a table and as bytes",
    ),
    (
        "**Bad input** never fails a job: each file lands in quarantine with the right reason, memory stays bounded, "
        "and a repaired file is taken up.",
        ("bronze/test_bad_input.py", "bronze/test_photograph.py", "fruits/query/test_quarantine.py"),
        f"{len(Reason)} reasons, {CORPUS} files in one job",
    ),
    (
        "**One writer.** A second run is refused before it writes, with the holder's name and since when; an abandoned "
        "lease expires; a run that has lost its lease stops before its next commit.",
        ("lakehouse/lease/test_lease.py", "fruits/operations/test_run.py"),
        f"{RACES} races on an S3 server, one winner each; slow: {MANY_RACES:,}",
    ),
    (
        "**One model version** in every snapshot; a reader during a refit or a rollback sees old or new, never a mix.",
        (
            "fruits/operations/test_rollback.py::test_readers_in_another_process_never_see_two_versions",
            "lakehouse/test_sync.py::test_another_model_replaces_all_rows_in_one_commit",
        ),
        f"{READS} reads of each table in other processes; slow: {MANY_READS}",
    ),
    (
        "**Reproducible fit.** Same images, same components, whatever the partitioning or the order of arrival; "
        "increments equal one fit over everything.",
        (
            "test_acceptance.py::test_increments_equal_one_pass_over_everything",
            "test_acceptance.py::test_fit_is_scikit_learns",
            "silver/test_moments.py",
            "gold/test_pca.py",
        ),
        "1e-9 in explained variance, 1e-6 in components",
    ),
    (
        "**No code from data.** Models are plain arrays in tables; nothing that MLflow keeps is ever read back.",
        (
            "lakehouse/models/test_registry.py::test_new_process_reads_all_with_nothing_but_tables",
            "fruits/operations/test_mirror.py::test_what_mlflow_keeps_is_never_read_back",
        ),
        "every file of MLflow's replaced by others, between two runs",
    ),
    (
        "**Older and newer releases.** A lake of each release opens, at another place too; columns that came later are "
        "added in one commit, other changes migrated in one commit a table; a newer layout is refused untouched.",
        ("test_releases.py", "lakehouse/test_migration.py", "test_revisions.py"),
        "a lake that release 0.1.0 wrote; killed between two steps",
    ),
    (
        "**Nothing lost in silence.** A data file that is gone or cut off, half a commit, and a protocol that is not "
        "read here are named by `fruits doctor`, with what is lost and how it comes back, and refused by every reader.",
        ("fruits/operations/test_integrity.py",),
        "each table, five commands, three features of the protocol",
    ),
    (
        "**One sentence.** What a disk, a file, a limit of the machine or S3 refuses is said by every command in one "
        "sentence that names the place and what to do, never as a traceback; what was committed is whole, and the next "
        "run goes on ([faults.md](faults.md) lists them).",
        ("test_faults.py", "test_faults_s3.py"),
        f"{len([*FAULTS, *MLFLOW])} faults of disks, files and limits, {len(REFUSALS)} refusals of S3's",
    ),
    (
        "**Lost history.** If the change feed has been vacuumed, moments are recomputed: never a gap.",
        (
            "silver/test_job.py::test_moments_are_recomputed_where_their_history_is_lost",
            "silver/test_job.py::test_moments_are_recomputed_where_the_log_has_been_cleaned",
        ),
        "files gone, log gone",
    ),
    (
        "**Foreign schema.** A table of another layout stops the job with what to do, and is not touched.",
        (
            "lakehouse/tables/test_delta.py::test_table_of_another_layout_is_refused_and_not_touched",
            "bronze/test_job.py::test_foreign_table_stops_the_job_untouched",
        ),
        "every file compared",
    ),
    (
        "**All of it together**, in any order: add, replace, move, remove, break, repair, run, crash, refit, "
        "roll back, release, relabel and take back, change root and splits, move and copy the lake, and forget.",
        ("test_state_machine.py::test_lake_holds_what_a_plain_model_says",),
        f"{EXAMPLES} × {STEPS} random steps against a plain model",
    ),
    (
        "**Either engine.** The same rows from both, and either goes on where the other stopped or died.",
        (
            "lakehouse/engine/test_contract.py",
            "test_engines.py::test_tables_are_the_same_whether_spark_computes_them_or_not",
            "test_crash.py::test_run_that_died_on_one_engine_is_finished_by_another",
        ),
        "one contract suite; a first run, an increment, a refit and a rollback by each engine, in turn; four points",
    ),
    (
        "**Publication.** While models are fitted again, and after a death at any point of that, a reader sees one "
        "whole version, old or new.",
        (
            "test_publication.py",
            "lakehouse/models/test_mirror.py::test_run_that_dies_while_it_shows_shows_nothing_twice",
        ),
        f"opened in a loop through three refits; {len(OF_A_REFIT)} points; slow: {len(OF_A_RUN)}",
    ),
    (
        "**A lake moves**, or is copied: everything works at its new place, and a copy changes no byte of the "
        "original.",
        (
            "test_moved.py",
            "lakehouse/models/test_tracking.py::test_lake_on_s3_under_another_prefix_shows_its_own_artifacts",
        ),
        "moved, copied, linked; on S3 under another prefix",
    ),
    (
        "**Two lakes on one tracking server** never read, move or fit each other's models.",
        (
            "test_shared_server.py",
            "lakehouse/models/test_mirror.py::test_two_lakes_in_one_store_do_not_know_of_each_other",
        ),
        "slow: a real server, two lives in turn, each compared with the same life alone",
    ),
    (
        "**MLflow's loss** costs what it shows, and nothing else; `fruits doctor --repair` shows it again.",
        (
            "fruits/operations/test_mirror.py::test_loss_of_mlflow_costs_what_it_shows_alone",
            "fruits/operations/test_mirror.py::test_store_that_does_not_work_loses_nothing",
        ),
        "folder, model and experiment gone, a server that does not answer",
    ),
    (
        "**Run history.** Each run of a command that writes is one row of `runs`: done, failed, interrupted or killed; "
        "who has lost the lease writes none; and what fails in writing it fails no run.",
        (
            "fruits/operations/test_recording.py",
            "fruits/operations/test_interrupted.py",
            "lakehouse/runs/test_record.py",
        ),
        "also killed while the row is written, and on S3",
    ),
    (
        "**Upkeep** changes no row and ends no sync: the run after finds nothing new, older versions are read within "
        "their time, moments keep few dead copies, and erasure holds; killed at any of its points nothing is lost.",
        (
            "fruits/operations/test_maintain.py",
            "lakehouse/engine/test_compact.py",
            "lakehouse/tables/test_compaction.py",
            "lakehouse/tables/test_vacuum.py",
        ),
        f"{len(POINTS)} points, on both engines (slow: Spark's); what one engine merged the other reads",
    ),
    (
        "**The app in the open.** A client that is slow, wrong or hostile costs bounded memory and time, is answered "
        "with a status and a sentence, or cut off, and the next photograph is answered.",
        (
            "fruits/app/test_hostile.py",
            "fruits/app/test_bombs.py::test_bomb_goes_off_nowhere",
            "fruits/app/test_bombs.py::test_what_kills_its_reader_is_said_and_the_reader_replaced",
            "fruits/app/test_guard.py",
        ),
        f"{len(BOMBS)} bombs, of each format, 40 uploads at once; memory of the server's processes measured",
    ),
]


def document() -> str:
    """The page."""
    lines = []
    for number, (promise, tests, figure) in enumerate(PROMISES, start=1):
        named = "<br>".join(f"`{test}`" for test in tests)
        lines.append(f"| {number}. {promise} | {named} | {figure} |\n")
    return INTRODUCTION + "".join(lines)


def test_page_is_what_the_tests_say() -> None:
    """Figures come from the tests' own constants."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("test", sorted({test for _, tests, _ in PROMISES for test in tests}))
def test_named_test_is_there(test: str) -> None:
    """A promise whose test was renamed or removed is noticed."""
    file, _, name = test.partition("::")
    tree = ast.parse((Path(__file__).parent / file).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in functions if name else any(one.startswith("test_") for one in functions)


if __name__ == "__main__":
    print(document(), end="")
