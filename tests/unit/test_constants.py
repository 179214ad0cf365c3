"""Constants of conversion and comparison have an origin; `tests/benchmarks/constants.py` measures what they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import constants  # pyright: ignore[reportMissingImports] - of the benchmarks

TEXT = """
from elsewhere import OTHER

_PLAIN = 3  # a number [choice]
_FIRST, _SECOND, _WORD = 1.5, 2 * 3, "word"  # two numbers [measured: lorenz]
# what stands above
# [derived]
ABOVE = (0.1, 0.2)
NAMED = 5
'''A number [literature: somebody 1999].'''

_FORGOTTEN = {1: 40}  # without an origin [of any kind]
TEXT, _FLAG = "text", True
lower = 1.0
"""


def test_every_constant_has_an_origin():
    every = list(constants.constants())
    assert len(every) > 100
    missing = [f"{constant.module}:{constant.line} {constant.name}" for constant in every if constant.origin is None]
    assert not missing, "say in brackets where it comes from, as tests/benchmarks/constants.py explains"
    assert all(constant.meaning for constant in every), "say what it is"


def test_constants_and_their_origins_are_found():
    every = {constant.name: constant for constant in constants.constants_of(TEXT, "ddm2snn.part.module")}
    assert list(every) == ["_PLAIN", "_FIRST", "_SECOND", "ABOVE", "NAMED", "_FORGOTTEN"]
    assert every["_SECOND"].value == "2 * 3"
    assert every["_SECOND"].key == "part.module._SECOND"
    origins = ["choice", "measured: lorenz", "measured: lorenz", "derived", "literature: somebody 1999", None]
    assert [constant.origin for constant in every.values()] == origins, "a new constant without an origin is seen"
    assert every["ABOVE"].meaning == "what stands above"


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 6), (0.5, 1.0), ((1, 0.25), (2, 0.5)), ({2: 8}, {2: 16}), (True, True), ("a", "a")]
)
def test_values_are_scaled(value, expected):
    assert constants.scaled(value, 2.0) == expected
    assert constants.scaled(1, 0.5) == 1, "whole numbers stay above zero"


def test_a_scaled_constant_is_what_its_module_works_with():
    script = (
        "import constants; constants.install('ddm2snn.conversion.clock', '_RISE', 2.0)\n"
        "from ddm2snn.conversion import clock, driving\n"
        "print(clock._RISE, clock._LONGEST, driving.EVERY)"
    )
    folder = Path(__file__).parents[1] / "benchmarks"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, check=True)
    assert done.stdout.split() == ["0.04", "4.0", "0.1"]


def test_the_table_shows_what_is_more_than_chance():
    one, *_ = constants.constants_of(TEXT, "ddm2snn.part.module")
    base = [{"drift_error": 1.0 + 0.01 * n, "noise": 0.2, "time_unit_s": 0.5, "excess": 1.0 + n} for n in range(3)]
    half = {"drift_error": 2.0, "noise": 0.2, "time_unit_s": 0.5, "excess": 3.5}
    lines = constants.table(base, {one.key: {"half": half, "twice": {"failed": "InputError: no"}}}, [one]).splitlines()
    assert lines[-1].startswith("| `part.module._PLAIN` | `3` | a number | choice | **2**, refused | 0.2, refused |")
    assert "3.5, refused" in lines[-1], "within three standard deviations of seeds"
