"""The set of versions with hashes fits what the package asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def entries():
    """Requirement and number of hashes of each entry."""
    text = (ROOT / "tests/constraints.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement, *hashes = line.split(" --hash=sha256:")
            assert all(len(digest.strip()) == 64 for digest in hashes)
            yield Requirement(requirement), len(hashes)


def test_every_version_is_exact_and_has_a_hash():
    for requirement, hashes in entries():
        assert hashes, requirement
        assert [specifier.operator for specifier in requirement.specifier] == ["=="]


def test_versions_are_those_that_the_package_takes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tested = {canonicalize_name(r.name): next(iter(r.specifier)).version for r, _ in entries()}
    for text in (*project["dependencies"], *project["optional-dependencies"]["test"]):
        requirement = Requirement(text)
        assert requirement.specifier.contains(tested[canonicalize_name(requirement.name)]), text
