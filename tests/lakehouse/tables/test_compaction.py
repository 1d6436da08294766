"""Which files are merged: by size, in the order of their age, and none that is large enough."""

from lakehouse.tables.compaction import groups
from lakehouse.tables.table import DataFile


def files(*sizes: int) -> list[DataFile]:
    """Files of these sizes, the oldest first."""
    return [DataFile(f"{number}", size, 1, written=number) for number, size in enumerate(sizes)]


def sizes(found: list[list[DataFile]]) -> list[list[int]]:
    """Their sizes again."""
    return [[file.size for file in group] for group in found]


def test_files_from_half_of_the_target_on_are_left_alone() -> None:
    """Whatever lies between them."""
    assert sizes(groups(files(50, 10, 100, 20, 49), target=100)) == [[10, 20, 49]]


def test_groups_are_neighbours_in_time_and_no_larger_than_the_target() -> None:
    """A group of one is none."""
    assert sizes(groups(files(40, 40, 40, 10, 45, 45), target=100)) == [[40, 40], [40, 10, 45]]


def test_merging_again_finds_nothing() -> None:
    """Each full group is at least half of the target, and one small file at the most is left."""
    first = groups(files(*[7] * 100), target=100)
    merged = [sum(group) for group in sizes(first)]
    left = 700 - sum(merged)
    assert groups(files(*merged, *([left] if left else [])), target=100) == []


def test_limited_work_leaves_out_a_file_that_is_larger_than_all_smaller_ones() -> None:
    """Else each increment would write the same bytes again."""
    assert sizes(groups(files(40, 1, 1, 1), target=100, at_most=90)) == [[1, 1, 1]]
    assert sizes(groups(files(40, *[3] * 14), target=1000, at_most=90)) == [[40, *[3] * 14]]


def test_limited_work_takes_the_smallest_files() -> None:
    """As many as the limit allows."""
    assert sizes(groups(files(9, 1, 2, 9, 1), target=100, at_most=5)) == [[1, 2, 1]]


def test_hundred_increments_write_each_byte_a_few_times() -> None:
    """As the log of a lake that is looked after: one more small file each, merged sixteen at a time."""
    there, written = [1000], 0
    for _ in range(1600):
        there.append(1)
        if len(there) >= 16:
            for group in sizes(groups(files(*there), target=100_000, at_most=50_000)):
                for size in group:
                    there.remove(size)
                there.append(sum(group))
                written += sum(group)
    assert len(there) < 32
    assert written < 8 * 2600
