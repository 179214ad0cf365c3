"""Target systems by name, and from files that users write."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ddm2snn import InputError, System, find_system
from ddm2snn.errors import FileRefusedError

ROESSLER = """
import numpy as np
from ddm2snn import System
roessler = System(name="roessler", rank=3, diffusion=0.1,
                  drift=lambda z: np.stack([-z[..., 1] - z[..., 2], z[..., 0] + 0.2 * z[..., 1],
                                            0.2 + z[..., 2] * (z[..., 0] - 5.7)], axis=-1))
linear = System(name="linear", rank=1, drift=lambda z: -z, diffusion=1.0)
number = 3
"""


def written(folder, text, name="mine.py"):
    path = folder / name
    path.write_text(text)
    return path


def test_the_built_in_system():
    system = find_system("vanderpol")
    assert (system.name, system.rank, system.units) == ("vanderpol", 2, 64)
    assert system.drift(np.array([2.0, 1.0])).tolist() == [1.0, (1 - 4.0) * 1.0 - 2.0]
    assert system.factor(np.zeros(2)).tolist() == [[0.1, 0.0], [0.0, 0.1]]


@pytest.mark.parametrize(
    "name", ["lorenzz", "", "VanDerPol", "vanderpol:x", "mine.txt:x", ":", "a:b:c", "dysts", "Dysts:Lorenz"]
)
def test_an_unknown_name_lists_what_there_is(refuses, name):
    with refuses(
        InputError, f"There is no system {name!r}", "Built in: ", "vanderpol", "chaotic flows: dysts:Name",
        "your own: path/to/file.py:attribute",
    ):  # fmt: skip
        find_system(name)


def test_a_flow_of_the_collection_without_the_package(refuses, monkeypatch):
    for module in ("dysts", "dysts.flows"):
        monkeypatch.setitem(sys.modules, module, None)
    with refuses(InputError, "need the package dysts", "is not installed", "pip install 'ddm2snn[dysts]'"):
        find_system("dysts:Rossler")


def test_a_system_of_the_users_own(tmp_path):
    path = written(tmp_path, ROESSLER)
    system = find_system(f"{path}:roessler")
    assert (system.name, system.rank) == ("roessler", 3)
    assert np.allclose(system.drift(np.array([1.0, 2.0, 3.0])), [-5.0, 1.4, 0.2 + 3.0 * (1.0 - 5.7)])
    assert find_system(f"{path}:linear").rank == 1


def test_a_path_may_hold_blanks_and_colons(tmp_path):
    (tmp_path / "a b:c").mkdir()
    assert find_system(f"{written(tmp_path / 'a b:c', ROESSLER)}:linear").name == "linear"


def test_a_missing_file(refuses, tmp_path):
    with refuses(FileRefusedError, str(tmp_path / "none.py"), "does not exist"):
        find_system(f"{tmp_path}/none.py:x")


def test_a_folder_with_the_name_of_a_file(refuses, tmp_path):
    (tmp_path / "mine.py").mkdir()
    with refuses(FileRefusedError, str(tmp_path / "mine.py"), "is a folder"):
        find_system(f"{tmp_path}/mine.py:x")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("\x00", "null bytes"),
        ("from ddm2snn import System\ns = System(name='s', rank=0, drift=abs)", "System.rank must be a whole number"),
    ],
)
def test_a_file_that_raises(refuses, tmp_path, text, word):
    path = written(tmp_path, text)
    with refuses(InputError, f"{path} failed while it ran", word, "Repair it first"):
        find_system(f"{path}:x")


def test_a_file_that_raises_several_lines(refuses, tmp_path):
    path = written(tmp_path, "raise ValueError('first line\\nsecond line')")
    with refuses(InputError, "first line"):
        find_system(f"{path}:x")


def test_a_missing_attribute_lists_the_systems(refuses, tmp_path):
    path = written(tmp_path, ROESSLER)
    for attribute in ("rössler", "", "Linear"):
        with refuses(InputError, f"{path} has no attribute {attribute!r}", "systems in it: linear, roessler"):
            find_system(f"{path}:{attribute}")


def test_a_file_without_systems_says_none(refuses, tmp_path):
    path = written(tmp_path, "x = 1")
    with refuses(InputError, f"{path} has no attribute 'system'", "systems in it: none"):
        find_system(f"{path}:system")


@pytest.mark.parametrize(("attribute", "kind"), [("number", "int"), ("System", "type"), ("np", "module")])
def test_an_attribute_that_is_no_system(refuses, tmp_path, attribute, kind):
    path = written(tmp_path, ROESSLER)
    with refuses(InputError, f"{path}:{attribute} is a {kind}, not a ddm2snn.System", "Give the name of a System"):
        find_system(f"{path}:{attribute}")


def test_a_file_is_run_anew_each_time(tmp_path):
    path = written(tmp_path, ROESSLER)
    assert find_system(f"{path}:linear").rank == 1
    written(tmp_path, ROESSLER.replace("rank=1", "rank=2"))
    assert isinstance(find_system(f"{path}:linear"), System)
    assert find_system(f"{path}:linear").rank == 2
