"""Hardware configurations: what ships validates, what does not validate is refused by key."""

import pytest

from ddm2snn import InputError, find_hardware
from ddm2snn.hardware import hardware_names
from ddm2snn.hardware.config import shipped_folder

REQUIRED = 'name = "mine"\nsummary = "a device"\nsource = "a data sheet"\n'


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def test_every_shipped_configuration_is_named_after_its_file():
    assert "ideal" in hardware_names()
    for name in hardware_names():
        assert find_hardware(name).name == name


def test_the_ideal_device_has_no_limit():
    ideal = find_hardware("ideal")
    assert ideal.step_s is None
    assert set(ideal.capacity.model_dump().values()) == {None}
    assert set(ideal.precision.model_dump().values()) == {None}


def test_a_users_own_file_works_the_same_way(config):
    found = find_hardware(config(REQUIRED + "step_s = 0.001\n[capacity]\nchips = 2\n[precision]\nweight_bits = 8\n"))
    assert (found.step_s, found.capacity.chips, found.precision.weight_bits) == (0.001, 2, 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (REQUIRED + "[capacity]\nchip = 2\n", "unknown key capacity.chip; known here are compartments_per_core"),
        (REQUIRED + "colour = 'blue'\n", "unknown key colour; known here are name, summary"),
        ('name = "mine"\n', "key summary is missing"),
        (REQUIRED + "[capacity]\nchips = 0\n", "capacity.chips"),
        (REQUIRED + "step_s = -1.0\n", "step_s"),
        (REQUIRED + "step_s = nan\n", "step_s"),
        ("name = [", "no TOML file"),
    ],
)
def test_what_does_not_validate_is_refused_in_one_line(config, text, words):
    path = config(text)
    with pytest.raises(InputError) as caught:
        find_hardware(path)
    message = str(caught.value)
    assert words in message
    assert path in message
    assert "\n" not in message


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no hardware configuration 'loihi9'; known are .*ideal"):
        find_hardware("loihi9")


def test_configurations_are_found_beside_or_inside_the_package():
    assert (shipped_folder() / "ideal.toml").is_file()
