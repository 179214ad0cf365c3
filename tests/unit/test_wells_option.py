"""Wells on the command line: JSON, a file, a system, or words about what is wrong."""

import numpy as np
import pytest

import ddm2snn
from ddm2snn.cli.results import read_wells

WELLS = [[-1.0, 0.5], [1.0, 0.0]]


def test_json_files_and_systems_are_read(tmp_path):
    (tmp_path / "wells.json").write_text("[[-1, 0.5], [1, 0]]")
    (tmp_path / "wells.csv").write_text("-1, 0.5\n1, 0\n\n")
    for text in (" [[-1, 0.5], [1, 0]]", str(tmp_path / "wells.json"), str(tmp_path / "wells.csv")):
        np.testing.assert_array_equal(read_wells(text), WELLS)
    np.testing.assert_array_equal(read_wells("doublewell"), ddm2snn.find_system("doublewell").known["memories"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[-1, 0], [1", "--wells holds no table of numbers"),
        ("[[-1, 0], [1]]", "--wells holds no table of numbers"),
        ('[["a"], ["b"]]', "--wells holds no table of numbers"),
        ("[1, 2]", r"--wells holds numbers of shape \(2,\), not \(well, rank\)"),
        ("none.csv", "Cannot read the wells in none.csv"),
        ("vanderpol", "vanderpol has no memories to be wells. Give JSON such as"),
        ("doublewells", "There is no system 'doublewells'"),
    ],
)
def test_what_is_none_of_these_is_refused(text, words):
    with pytest.raises(ddm2snn.InputError, match=words):
        read_wells(text)
