"""Every example in a docstring runs and prints what it says, warnings being errors as in any test.

An example that needs a package which is not installed is skipped. `python -m pytest --doctest-modules FILE` runs the
examples of one file with the same options.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from types import ModuleType

import architecture
import pytest
from syntax_trees import Tree

import ddm2snn
from ddm2snn.analysis import analyse

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
TREE = Tree()
OWN = ("ddm2snn", "ddm2snn_backends")


def name_of(path: str) -> str:
    return path.removeprefix("backends/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


EXAMPLES = {name_of(m.path): architecture.prompts(m.tree) for m in TREE.modules}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_module(name, tmp_path, monkeypatch, record_property):
    record_property("examples", EXAMPLES[name])
    if not EXAMPLES[name]:
        return
    monkeypatch.chdir(tmp_path)  # examples may write files
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        skip_unless_own(error)
        raise
    assert run(module) == EXAMPLES[name], "doctest does not see every example: move it where the function is plain"


def run(module: ModuleType) -> int:
    """Number of examples, all of which ran as they should; the first that did not ends the test."""
    runner, count = doctest.DebugRunner(optionflags=FLAGS), 0
    for test in doctest.DocTestFinder().find(module):
        count += len(test.examples)
        try:
            runner.run(test)
        except doctest.DocTestFailure as failure:
            example = failure.example
            place = f"{test.filename}:{(test.lineno or 0) + example.lineno + 1}"
            pytest.fail(f"{place}\n>>> {example.source}expected\n{example.want}got\n{failure.got}", pytrace=False)
        except doctest.UnexpectedException as failure:
            error = failure.exc_info[1]
            skip_unless_own(error)
            raise error from None
    return count


def skip_unless_own(error: BaseException) -> None:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in OWN:
        pytest.skip(f"{error.name} is not installed")


def module_of(text: str) -> ModuleType:
    module = ModuleType("sample", text)
    module.__file__ = __file__
    return module


def test_a_right_example_passes():
    assert run(module_of(">>> 1 + 1\n2\n\n>>> 0.1 + 0.2\n0.3...\n")) == 2


def test_a_wrong_example_fails():
    with pytest.raises(pytest.fail.Exception, match="expected\n3\ngot\n2"):
        run(module_of(">>> 1 + 1\n3\n"))


def test_an_example_that_raises_fails_with_its_error():
    with pytest.raises(ZeroDivisionError):
        run(module_of(">>> 1 / 0\n"))


def test_an_example_that_warns_fails():
    with pytest.raises(UserWarning, match="loud"):
        run(module_of(">>> import warnings\n>>> warnings.warn('loud')\n"))


def test_an_example_that_needs_what_is_not_installed_is_skipped():
    with pytest.raises(pytest.skip.Exception, match="no_such_package"):
        run(module_of(">>> import no_such_package\n"))


def test_a_missing_module_of_our_own_is_an_error():
    with pytest.raises(ModuleNotFoundError):
        run(module_of(">>> import ddm2snn.no_such_module\n"))


PUBLIC = {name: getattr(ddm2snn, name) for name in ddm2snn.__all__} | {"analyse": analyse}
TYPES = {name for name, public in PUBLIC.items() if inspect.isclass(public)}
VERBS = {name for name, public in PUBLIC.items() if inspect.isfunction(public)}


def headed(text: str) -> dict[str, str]:
    """Sections of a docstring by their headings."""
    parts = re.split(r"^(\w+)\n-{3,}\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named(section: str) -> set[str]:
    """Parameters that a section names: words at its margin, with commas between them."""
    return {name for line in re.findall(r"^\w+(?:, \w+)*$", section, re.MULTILINE) for name in line.split(", ")}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_has_an_example(name):
    if name == "NeuronModel":
        assert not inspect.isclass(PUBLIC[name]), "a union of types, which has no docstring of its own"
        return
    assert ">>> " in (inspect.getdoc(PUBLIC[name]) or "")


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_public_function_says_what_it_takes_gives_refuses_and_warns_of(name):
    sections, source = headed(inspect.getdoc(PUBLIC[name]) or ""), inspect.getsource(PUBLIC[name])
    assert named(sections["Parameters"]) >= set(inspect.signature(PUBLIC[name]).parameters)
    assert {"Returns", "Raises"} <= sections.keys()
    assert ("Warns" in sections) == bool(re.search(r"\bwarnings\.warn\(|_warn\w*\(", source))


@pytest.mark.parametrize("name", sorted(TYPES - {"Backend", "InputError"}))
def test_every_public_type_says_what_its_fields_are(name):
    fields = set(inspect.signature(PUBLIC[name]).parameters) - {"self", "values"}
    fields |= set(getattr(PUBLIC[name], "model_fields", ()))
    sections = headed(inspect.getdoc(PUBLIC[name]) or "")
    assert named(sections.get("Parameters", "")) >= fields
