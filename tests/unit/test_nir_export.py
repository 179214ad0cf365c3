"""Export to NIR and back: exact round trips, what is said of losses, refusals."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_executor import NirExecutor

import ddm2snn
from ddm2snn import LIF, ArrayMapping, InputError, Nir, RectifiedLinear, SpikingNetwork, Static, export
from ddm2snn.base.arrays import arrays_of
from ddm2snn.exchange.nir_files import sidecar_of
from ddm2snn.exchange.nir_graph import READERS, Graph, Node, floor_loss, refractory_loss

FORMS = [Nir(dialect, reader) for dialect in ("factored", "latent", "dense") for reader in (None, *READERS)]
forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.dialect}-{form.reader}")


def written(network: SpikingNetwork, path: Path, form: Nir | None = None) -> Path:
    """An export whose losses are of no interest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        export(network, path, nir=form)
    return path


def imported(path: Path, mapping: ArrayMapping | None = None) -> SpikingNetwork:
    network = ddm2snn.import_network(path, mapping)
    assert isinstance(network, SpikingNetwork)
    return network


@forms
def test_with_its_sidecar_a_network_comes_back_to_the_last_bit(make_spiking, form: Nir, tmp_path: Path) -> None:
    own = {"noise_colour": np.full((3, 4), 2.0), "rise_s": 0.0 if form.reader else 4e-3}
    network = make_spiking(rank=3, neurons=12, diffusion_factor=0.1 * np.eye(3), provenance={"made": "by hand"}, **own)
    back = imported(written(network, tmp_path / "net.nir", form))
    assert back.fingerprint == network.fingerprint
    assert back.provenance == network.provenance
    assert back.neuron == network.neuron


@pytest.mark.parametrize("rise_s", [0.0, 4e-3])
@pytest.mark.parametrize("dialect", ["factored", "latent"])
def test_without_it_what_nir_holds_comes_back_to_the_last_bit(make_spiking, dialect, rise_s, tmp_path: Path) -> None:
    network = make_spiking(rank=3, neurons=12, time_unit_s=0.3, rise_s=rise_s)
    path = written(network, tmp_path / "net.nir", Nir(dialect))
    sidecar_of(path).unlink()
    back = imported(path)
    for name in ("encoders", "bias", "decoders", "input_map"):
        assert getattr(back, name).tobytes() == getattr(network, name).tobytes(), name
    assert (back.time_unit_s, back.rise_s, back.dt_s) == (network.time_unit_s, rise_s, network.dt_s)
    assert back.neuron == LIF(network.neuron.tau_membrane_s, 0.0)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dialect", ["factored", "latent"])
def test_scaled_files_come_back_within_rounding(make_spiking, dialect, reader, tmp_path: Path) -> None:
    """One division and one multiplication for decoders, expm1 and log1p for time constants."""
    network = make_spiking()
    path = written(network, tmp_path / "net.nir", Nir(dialect, reader))
    sidecar_of(path).unlink()
    back = imported(path)
    assert np.array_equal(back.encoders, network.encoders)
    assert back.decoders == pytest.approx(network.decoders, rel=4e-16, abs=0)
    assert back.time_unit_s == pytest.approx(network.time_unit_s, rel=1e-12)
    assert back.neuron.tau_membrane_s == pytest.approx(network.neuron.tau_membrane_s, rel=1e-12)


@pytest.mark.parametrize("rise_s", [0.0, 4e-3])
def test_the_exported_network_runs_on_backends_as_the_executor_runs_its_file(
    make_spiking, rise_s, tmp_path: Path
) -> None:
    """Deterministic, biases above threshold: from the same state the imported network gives the file's own latents."""
    network = make_spiking(neuron=LIF(refractory_s=0.0), bias=np.linspace(1.2, 3.0, 8), rise_s=rise_s)
    path = written(network, tmp_path / "net.nir", Nir("latent"))
    spikes = NirExecutor(path).run(np.zeros((1, 400, 2)))[0] * network.dt_s
    z, decay = np.zeros(2), np.exp(-network.dt_s / network.time_unit_s)
    voltage, kept = np.zeros(8), np.exp(-network.dt_s / network.neuron.tau_membrane_s)
    q, rise = np.zeros(2), np.exp(-network.dt_s / rise_s) if rise_s else 0.0
    for fired in spikes:  # the equations of SpikingNetwork, by hand
        current = network.encoders @ z + network.bias
        voltage = current + (voltage - current) * kept
        assert np.array_equal(voltage > 1.0, fired > 0)
        voltage = np.where(voltage > 1.0, 0.0, voltage)
        q = rise * q + (1 - rise) * network.decoders @ fired / network.dt_s
        z = decay * z + (1 - decay) * q
    assert spikes.sum() > 100


def test_nir_itself_reads_the_files(make_spiking, tmp_path: Path) -> None:
    graph = nir.read(written(make_spiking(), tmp_path / "net.nir"))
    assert {type(node).__name__ for node in graph.nodes.values()} == {"Input", "Affine", "CubaLIF", "Output"}
    assert float(graph.metadata["dt_s"]) == 1e-3


def test_what_is_lost_is_said_in_numbers(make_spiking, tmp_path: Path) -> None:
    """One neuron at twice the threshold: on the grid 2 + 14 steps of 1 ms become 14."""
    network = make_spiking(
        rank=1, neurons=1, encoders=np.zeros((1, 1)), bias=np.array([2.0]), diffusion_factor=np.array([[0.25]]),
        initial_latent=np.ones((1, 1)),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="NIR has no") as caught:
        done = export(network, tmp_path / "net.nir")
    said = [str(warning.message) for warning in caught]
    assert said == list(done.lost) == json.loads(sidecar_of(tmp_path / "net.nir").read_text())["lost"]
    assert "without its 2 ms the mean rate goes from 62.5 to 71.4 Hz (+14%)" in said[0]
    assert "NIR has no noise: 0.25 per latent" in said[1]


def test_noise_that_depends_on_the_state_is_said_and_comes_back(make_spiking, tmp_path: Path) -> None:
    """One neuron at twice the threshold, on the grid 1000 / 14 Hz; the other too, at z = 2, or 6 in the system."""
    network = make_spiking(
        rank=1, neurons=2, encoders=np.array([[0.0], [1.0]]), bias=np.array([2.0, 0.0]), unit=np.zeros(2),
        rate_left_vectors=np.ones((1, 1)), neuron=LIF(refractory_s=0.0), initial_latent=np.array([[0.0], [2.0]]),
        latent_offset=np.zeros(1), latent_scale=np.full(1, 3.0), diffusion_factor=np.array([[0.1]]),
        diffusion_decoders=np.array([[[0.014, 0.0]]]), diffusion_filter_s=0.05,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="depends on the state") as caught:
        export(network, tmp_path / "net.nir")
    # (0.1 + 0.014 / 0.014) * 3, and with the second neuron (0.1 + 1 + 0.028 / 0.014) * 3
    assert "NIR has no noise: 3.3 per latent" in str(caught[0].message)
    assert imported(tmp_path / "net.nir").fingerprint == network.fingerprint
    moving = dataclasses.replace(
        network, diffusion_decoders=np.array([[[0.014, 0.028]]]), initial_latent=np.array([[0.0], [6.0]])
    )
    with pytest.warns(UserWarning, match="3.3 to 9.3 per latent"):
        export(moving, tmp_path / "net.nir")
    sidecar_of(tmp_path / "net.nir").unlink()
    assert imported(tmp_path / "net.nir").diffusion_decoders is None
    # in steps that no simulator takes: 1000 / (0.5 ms + 20 ms ln 2) Hz in continuous time, 0.3 + 3 * 0.97
    unfit = dataclasses.replace(network, neuron=LIF(refractory_s=0.0005))
    with pytest.warns(UserWarning, match=r"3\.22 per latent|no refractory period") as caught:
        export(unfit, tmp_path / "net.nir")
    assert any("3.22 per latent" in str(warning.message) for warning in caught)


def test_late_answers_after_inhibition_are_counted(make_spiking) -> None:
    """An oscillation of 60 ms and 0.25 s drives one neuron between -19 and 21 with a membrane of 20 ms."""

    def lost(time_unit_s: float) -> float:
        # z turns by decoders of two tonic neurons, on a slow or a fast time unit; the last neuron listens
        network = make_spiking(
            rank=1, neurons=2, encoders=np.array([[-20.0], [20.0]]), bias=np.array([11.0, 1.0]), unit=np.zeros(2),
            rate_left_vectors=np.ones((1, 1)), decoders=np.array([[0.004, 0.0]]), neuron=LIF(refractory_s=0.0),
            diffusion_factor=np.array([[1.0]]), time_unit_s=time_unit_s,
        )  # fmt: skip
        found = floor_loss(network)
        return 0.0 if found is None else found[0]

    assert lost(0.1) > 0.02
    assert lost(2.0) < lost(0.1) / 2


def test_of_a_network_that_loses_nothing_nothing_is_said(make_spiking, tmp_path: Path) -> None:
    network = make_spiking(neuron=LIF(refractory_s=0.0))
    assert refractory_loss(network) is None
    assert export(network, tmp_path / "net.nir").lost == ()


def test_decoders_solved_again_make_up_for_the_refractory_period(rate_network, brian2_network) -> None:
    """Drift errors of static decoders, by the exact curves, before and after."""
    from ddm2snn.conversion.again import without_refractory

    network = brian2_network
    loss = refractory_loss(network)
    assert loss is not None
    assert loss[2] > 0.2
    free = without_refractory(network, rate_network, decoders=Static())
    assert free.neuron == LIF(network.neuron.tau_membrane_s, 0.0)
    assert np.array_equal(free.encoders, network.encoders)
    assert np.array_equal(free.bias, network.bias)
    assert max(free.provenance["without_refractory"]["drift_error"]) < 0.05


def test_solving_again_needs_the_rate_network_of_the_conversion(make_rate, make_spiking, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Give the one that it was converted from"):
        export(make_spiking(), tmp_path / "net.nir", without_refractory=make_rate())
    assert not (tmp_path / "net.nir").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"neuron": RectifiedLinear()}, "a reset to a value, got RectifiedLinear"),
        ({"decoders": np.full((2, 8), 1e308)}, "leave the range of 64 bits"),
    ],
)
def test_what_nir_cannot_say_is_refused(make_spiking, change, said, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        export(make_spiking(**change), tmp_path / "net.nir", nir=Nir(reader="norse"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"format": "onnx"}, "There is no format 'onnx'; known are nir"),
        ({"nir": Nir("sparse")}, "There is no NIR dialect 'sparse'"),  # pyright: ignore[reportArgumentType]
        ({"nir": Nir(reader="lava")}, "There is no NIR reader 'lava'; tested are norse"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(make_spiking, asked, said, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        export(make_spiking(), tmp_path / "net.nir", **asked)


def test_a_file_changed_beside_its_sidecar_is_refused(make_spiking, tmp_path: Path) -> None:
    network = make_spiking()
    written(network, tmp_path / "net.nir")
    sidecar = sidecar_of(tmp_path / "net.nir").read_text()
    written(dataclasses.replace(network, bias=network.bias + 1e-15), tmp_path / "net.nir")
    sidecar_of(tmp_path / "net.nir").write_text(sidecar)
    with pytest.raises(InputError, match="Remove that to import what NIR holds"):
        imported(tmp_path / "net.nir")


def test_a_file_of_others_must_be_explained(tmp_path: Path) -> None:
    """Other names, a Linear, gains and a threshold: J = (R w_in / threshold) (W x + b)."""
    ones = np.ones(3)
    encode, decode = np.array([[1.0], [2.0], [-1.0]]), np.array([[0.1, 0.2, 0.3]])
    nodes = {
        "in": nir.Input(input_type={"input": np.array([1])}),
        "e": nir.Affine(weight=encode, bias=ones),
        "d": nir.Linear(weight=decode),
        "lif": nir.CubaLIF(
            tau_syn=0.1 * ones, tau_mem=0.02 * ones, r=3.0 * ones, v_leak=0.5 * ones, v_threshold=2.0 * ones
        ),
        "out": nir.Output(output_type={"output": np.array([3])}),
    }
    edges = [("in", "e"), ("e", "lif"), ("lif", "d"), ("d", "e"), ("lif", "out")]
    nir.write(tmp_path / "theirs.nir", nir.NIRGraph(nodes, edges))
    with pytest.raises(InputError, match="does not say what a spike counts"):
        imported(tmp_path / "theirs.nir")
    with pytest.raises(InputError, match="does not say its time step"):
        imported(tmp_path / "theirs.nir", ArrayMapping(spikes="per step"))
    network = imported(tmp_path / "theirs.nir", ArrayMapping(spikes="per step", dt_s=1e-3))
    assert np.array_equal(network.encoders, 1.5 * encode)
    assert np.array_equal(network.bias, 1.5 * ones + 0.25)
    assert network.decoders == pytest.approx(decode * 1e-3)
    assert network.time_unit_s == pytest.approx(-1e-3 / np.log1p(-0.01))
    assert np.array_equal(network.input_map, np.eye(1))


def test_meanings_of_arrays_do_not_apply_to_nir_and_the_other_way_round(make_spiking, tmp_path: Path) -> None:
    written(make_spiking(), tmp_path / "net.nir")
    with pytest.raises(InputError, match="activation a NIR file says itself"):
        imported(tmp_path / "net.nir", ArrayMapping(activation="tanh"))
    np.savez(tmp_path / "net.npz", m=np.ones((3, 1)), n=np.ones((3, 1)))
    with pytest.raises(InputError, match="dt_s belong to NIR files"):
        ddm2snn.import_network(tmp_path / "net.npz", ArrayMapping(dt_s=1e-3))


def test_the_executor_needs_a_step_one_output_and_neurons_in_cycles() -> None:
    shape, one = {"shape": np.ones(1)}, {"weight": np.ones((1, 1))}
    nodes = {
        "in": Node("Input", shape),
        "a": Node("Linear", one),
        "b": Node("Linear", one),
        "out": Node("Output", shape),
    }
    edges = (("in", "a"), ("a", "b"), ("b", "a"), ("b", "out"))
    with pytest.raises(InputError, match="does not say its time step"):
        NirExecutor(Graph(nodes, edges))
    with pytest.raises(InputError, match="cycle without a neuron"):
        NirExecutor(Graph(nodes, edges), dt_s=1e-3)
    with pytest.raises(InputError, match="has 0 outputs"):
        NirExecutor(Graph({"in": nodes["in"]}, ()), dt_s=1e-3)


def test_the_executor_leaks_as_the_equation_says() -> None:
    """An LI under constant input in continuous time: R x (1 - exp(-t / tau)), exactly."""
    ones = np.ones(1)
    nodes = {
        "in": Node("Input", {"shape": ones}), "scale": Node("Scale", {"scale": 2.0 * ones}),
        "li": Node("LI", {"tau": 0.1 * ones, "r": 3.0 * ones, "v_leak": 0.5 * ones}),
        "out": Node("Output", {"shape": ones}),
    }  # fmt: skip
    edges = (("in", "scale"), ("scale", "li"), ("li", "out"))
    found = NirExecutor(Graph(nodes, edges), dt_s=0.01).run(np.ones((1, 50, 1)))[0, -1, 0]
    assert found == pytest.approx(6.5 * (1.0 - np.exp(-5.0)), rel=1e-12)


def test_every_array_of_a_network_is_beside_the_file(make_spiking, tmp_path: Path) -> None:
    network = make_spiking()
    written(network, tmp_path / "net.nir")
    beside = set(json.loads(sidecar_of(tmp_path / "net.nir").read_text())["arrays"])
    assert beside == set(arrays_of(network))


def test_the_commands_export_and_import(make_spiking, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ddm2snn.cli.main import main

    network, folder = make_spiking(), str(tmp_path)
    network.save(tmp_path / "snn.safetensors")
    for given, status in (
        (["export", f"{folder}/snn.safetensors", "-o", f"{folder}/net.nir", "--for", "norse", "--json"], 0),
        (["import", f"{folder}/net.nir", "-o", f"{folder}/back.safetensors"], 0),
        (["export", f"{folder}/snn.safetensors", "-o", f"{folder}/net.nir", "--for", "lava"], 2),
        (["export", f"{folder}/snn.safetensors", "-o", f"{folder}/net.nir", "--format", "onnx"], 2),
    ):
        with pytest.raises(SystemExit) as left:
            main(given)
        assert left.value.code == status
        if "--json" in given:
            written = capsys.readouterr()
            assert "Warning" not in written.err, "the sentences are in what is printed, once"
            said = json.loads(written.out)
            assert said["files"] == [f"{folder}/net.nir", f"{folder}/net.nir.json"]
            assert "from_nir" in said["notes"][0]
            assert "refractory period" in said["lost"][0]
    assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "snn.safetensors").read_bytes()
