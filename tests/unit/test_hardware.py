"""Hardware configurations: what ships validates, what does not validate is refused by key."""

import pytest

import ddm2snn
from ddm2snn import InputError, find_hardware
from ddm2snn.hardware import hardware_names, shipped_folder

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
        (REQUIRED + "[decode_neurons]\ndecode_tau = 0.1\n", "known here are pairs_per_latent, bias_hz"),
        (REQUIRED + "[decode_neurons]\nradius_quantile = 1.1\n", "decode_neurons.radius_quantile"),
        (REQUIRED + "[placement]\nnoise = 'chip'\n", "nengo-loihi 1.1.0 refuses ensemble.noise"),
        (REQUIRED + "[placement]\nnoise = 'cloud'\n", "placement.noise"),
        (REQUIRED + "[energy]\nsynaptic_operation_pj = 1.0\n", "energy.active_update_pj is missing"),
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


LOIHI_1 = [name for name in hardware_names() if name.startswith("loihi1-")]


@pytest.mark.parametrize("name", LOIHI_1)
def test_the_numbers_of_loihi_1_are_those_of_nengo_loihi(name):
    block = pytest.importorskip("nengo_loihi.block")
    from nengo_loihi.builder import discretize
    from nengo_loihi.hardware import allocators, nxsdk_objects

    found = find_hardware(name)
    limits, bits = found.capacity, found.precision
    assert limits.compartments_per_core == block.MAX_COMPARTMENTS
    assert limits.input_axons_per_core == block.MAX_IN_AXONS
    assert limits.output_axons_per_core == block.MAX_OUT_AXONS
    assert limits.synapse_bits_per_core == block.MAX_SYNAPSE_BITS
    assert limits.cores_per_chip == allocators.Greedy().cores_per_chip
    # its builder for the board asserts that a core has fewer
    assert limits.compartment_configs_per_core == nxsdk_objects.MAX_COMPARTMENT_CFGS - 1
    assert limits.thresholds_per_core == nxsdk_objects.MAX_VTH_CFGS - 1
    assert bits.longest_refractory_steps == nxsdk_objects.CompartmentConfig.REFRACT_DELAY_MAX
    assert (bits.input_bits, bits.state_bits) == (discretize.Q_BITS, discretize.U_BITS)
    largest = {name: 2**value - 1 for name, value in bits.model_dump().items() if value and value > 0}
    assert largest["bias_bits"] == discretize.BIAS_MAN_MAX
    assert largest["bias_exponent_bits"] == discretize.BIAS_EXP_MAX
    assert largest["threshold_bits"] == discretize.VTH_MAN_MAX
    assert bits.threshold_exponent == discretize.VTH_EXP
    assert bits.weight_bits == block.SynapseConfig.WEIGHT_BITS_MAP[7]


def test_boards_differ_in_their_chips_only():
    chips = {name: find_hardware(name).capacity.chips for name in LOIHI_1}
    assert chips == {"loihi1-emulator": 32, "loihi1-kapoho-bay": 2, "loihi1-nahuku32": 32}
    alike = {"name": "", "summary": "", "capacity": None}
    others = [find_hardware(name).model_copy(update=alike) for name in LOIHI_1]
    assert all(other == others[0] for other in others)


def test_every_number_has_its_source_in_a_comment():
    for name in hardware_names():
        lines = (shipped_folder() / f"{name}.toml").read_text().splitlines()
        section = ""
        for line in lines:
            section = line if line.startswith("[") else section
            if line[:1].isalpha() and line.partition("=")[2].strip()[0] in "-[0123456789":
                assert "#" in line or "#" in section, f"{name}: {line}"


def test_configurations_are_found_beside_or_inside_the_package():
    assert (shipped_folder() / "ideal.toml").is_file()


def test_a_time_unit_that_nobody_gives_fits_the_decay_register(quick_rate):
    base = find_hardware("loihi1-emulator")
    short = base.model_copy(update={"precision": base.precision.model_copy(update={"decay_bits": 8})})
    settings = {"population": ddm2snn.Population(2), "decoders": ddm2snn.Calibrated(duration=500.0)}
    found = ddm2snn.convert(quick_rate, hardware=short, **settings).network.time_unit_s
    assert found == 0.25  # 2^8 steps of 1 ms less half a step, in two digits
    assert ddm2snn.convert(quick_rate, hardware=base, **settings).network.time_unit_s > found
