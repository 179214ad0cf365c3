"""Work, energy and time of a network on a device, by counts that a test can do again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ddm2snn.errors import InputError
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.device import device_of, machine_of
from ddm2snn.hardware.energy import estimate_energy
from ddm2snn.hardware.workload import workload_of_run, workload_of_spikes

LOIHI = find_hardware("loihi1-emulator")


def machine(network, config=LOIHI, amplitude=None):
    return machine_of(network, device_of(network, config, network.dt_s), amplitude)


def test_energy_is_the_sum_of_counts_times_published_energies(make_spiking):
    network = make_spiking(neurons=50)  # 40 decode neurons, 100 steps a time unit
    spikes, decode = 20 * 50 * 0.1, 100 * 40 * 0.1
    work = workload_of_spikes(machine(network), 100.0, spikes, decode, 0.0)
    found = estimate_energy(work, LOIHI, network.time_unit_s)
    assert found.synaptic_operations == pytest.approx(spikes * 40 + decode * 50)
    assert found.updates == pytest.approx(90 * 100)
    assert found.messages == pytest.approx(spikes + decode)
    expected_pj = (spikes * 40 + decode * 50) * 35.5 + (spikes + decode) * (142.1 + 1.7 + 111.0)
    expected_pj += (9000 - spikes - decode) * 72.8
    assert found.microjoule_per_time_unit == pytest.approx(expected_pj / 1e6)
    assert found.microwatt == pytest.approx(expected_pj * 1e-6 / 0.1)
    more = workload_of_spikes(machine(network, amplitude=np.ones(2)), 100.0, spikes, decode, 200.0)
    assert more.synaptic_operations - work.synaptic_operations == pytest.approx(200 * 40)
    assert more.input_messages == 200


def test_a_step_takes_the_busiest_cores_and_the_barrier(make_spiking):
    network = make_spiking(neurons=50)
    found = estimate_energy(workload_of_spikes(machine(network), 100.0, 100.0, 400.0, 0.0), LOIHI, 0.1)
    updating = max(50 * 9.7 + 1.0 * (30.0 + 5.1), 40 * 9.7 + 4.0 * (30.0 + 5.1))
    arriving = max(4.0 * (16.0 + 50 * 3.8), 1.0 * (16.0 + 40 * 3.8))
    assert found.microsecond_per_step == pytest.approx((max(updating, arriving) + 600.0) / 1e3)


def test_messages_hop_between_tiles_only(make_spiking):
    near, far = make_spiking(neurons=50), make_spiking(neurons=2000)
    assert workload_of_spikes(machine(near), 100.0, 100.0, 400.0, 10.0).hops_y == 0
    blocks = LOIHI.placement.model_copy(update={"block_compartments": 250})
    spread = LOIHI.model_copy(update={"placement": blocks})  # decode neurons and 3 of 8 blocks share the first tile
    work = workload_of_spikes(machine(far, spread), 100.0, 80.0, 40.0, 10.0)
    # four blocks lie a tile further, one two tiles; decode neurons reach all blocks, and each block them
    assert (work.hops_x, work.hops_y) == (0.0, pytest.approx((40.0 + 10.0) * (4 + 2)))


def test_more_groups_share_the_same_spikes(make_spiking):
    network = make_spiking(neurons=5000)
    work = workload_of_spikes(machine(network), 100.0, 1000.0, 400.0, 0.0)
    assert work.spikes == pytest.approx(1400.0)
    assert work.synaptic_operations == pytest.approx(1000.0 * 40 + 400.0 * 5000)
    assert estimate_energy(work, LOIHI, 0.1).hops > 0


def test_the_numbers_have_neurobenchs_names(make_spiking):
    network = make_spiking(neurons=20)
    work = workload_of_run(network, LOIHI)
    found = work.neurobench()
    assert json.loads(json.dumps(found)) == found
    assert found["MembraneUpdates"] == 60 * network.time_unit_s / network.dt_s
    assert found["NeuronOperations"]["Effective Neuron Ops"] == 8 * found["MembraneUpdates"]
    assert found["ActivationSparsity"] == pytest.approx(1 - work.spikes / work.updates)
    weights = [np.concatenate(part.weights) for kind in ("population", "decode_neurons")
               for part in getattr(machine(network), kind)]  # fmt: skip
    assert found["SynapticOperations"]["Dense"] == sum(each.size for each in weights) * work.steps
    assert 0 < found["SynapticOperations"]["Effective_ACs"] <= work.synaptic_operations
    zeros = sum((each == 0).sum() for each in weights) / sum(each.size for each in weights)
    assert found["ConnectionSparsity"] == pytest.approx(zeros)
    # 20 axons and 4 of the host to 40 decode neurons and 40 axons to 20 neurons, in words of 64 bits with heads of 10
    synapses = 24 * 384 + 40 * 192
    assert found["Footprint"] == (synapses + 60 * (12 + 1 + 3 + 2 * 24)) / 8


def test_a_device_without_bits_stores_floats(make_spiking):
    found = workload_of_run(make_spiking(neurons=20), find_hardware("ideal")).neurobench()
    assert found["Footprint"] == 4 * (24 * 40 + 40 * 20 + 3 * 60)


def test_a_device_without_energies_is_refused_in_one_line(make_spiking):
    network, config = make_spiking(neurons=20), find_hardware("loihi2-like")
    with pytest.raises(InputError, match="loihi2-like states no energies"):
        estimate_energy(workload_of_run(network, config), config, network.time_unit_s)
