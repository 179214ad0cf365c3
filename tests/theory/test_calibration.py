"""False alarms and coverage on all eight processes; `tests/benchmarks/calibration.py` has more pairs and sizes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import calibration  # pyright: ignore[reportMissingImports] - of the benchmarks

PAIRS = 2


@pytest.fixture(scope="module")
def cells():
    return [calibration.cells(name, 8, [2], PAIRS)[0] for name in calibration.PROCESSES]


def test_hardly_any_of_eight_processes_cries_wolf(cells):
    # of sixteen comparisons at 5 % or fewer, four or more cry wolf once in a hundred
    assert sum(cell.wolves for cell in cells) <= 3, [cell.row for cell in cells]


def test_intervals_of_eight_processes_cover_one(cells):
    share = sum(cell.covered for cell in cells) / sum(cell.intervals for cell in cells)
    assert 0.90 <= share < 1.0, [cell.row for cell in cells]  # sixteen pairs cannot tell 99 % from a little more


def test_most_distances_can_tell(cells):
    assert sum(cell.cannot_tell for cell in cells) < 0.4 * sum(cell.distances for cell in cells)


def test_a_cell_is_beyond_its_limits_where_its_pairs_tell_so():
    def fair(wolves, covered):
        cell = calibration.Cell("x", 8, 2, comparisons=40, wolves=wolves, intervals=1000, covered=covered,
                                distances=1000, cannot_tell=0, not_measured=0, alarms={})  # fmt: skip
        return cell.fair

    assert fair(2, 960)
    assert not fair(7, 960)
    assert not fair(2, 700)
