"""The conda recipe asks for what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # what conda-forge calls them


def test_dependencies_are_those_of_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = yaml.safe_load((ROOT / ".github/conda/recipe.yaml").read_text())
    split = [re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in project["dependencies"]]
    wanted = {f"{NAMES.get(name, name)} {bounds}" for name, bounds in split} | {f"python {project['requires-python']}"}
    assert set(recipe["requirements"]["run"]) == wanted
    assert recipe["context"]["version"] == project["version"]
