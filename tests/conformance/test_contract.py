"""The contract itself: what the core asks of an adapter, when, and what it makes of the answer."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOptionalOperand=false
# the tests know which recordings have spikes and which networks a decoded factor

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend

from ddm2snn.backend import Unsupported, gaps
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.neuron import LIF, SpikeTiming
from ddm2snn.recording import Spikes
from ddm2snn.schedule import Trace
from ddm2snn.simulate import drive, simulate
from ddm2snn.stimulus import Stimulus

STIMULUS = Stimulus(times=np.array([0.4, 1.1]), values=np.array([[1.0, -0.6], [0.0, 0.5]]))


class Written:
    """A simulator of LIF neurons on the grid, written from the text of `ddm2snn.backend` alone."""

    name = "written"
    spike_timing: SpikeTiming = "grid"

    def unsupported(self, network, *, dt_s, stimulus):
        return [] if isinstance(network.neuron, LIF) else [Unsupported("neuron", "only LIF", "Convert LIF neurons")]

    def run(self, schedule, progress):
        network, a, dt_s = schedule.network, schedule.decay, schedule.dt_s
        z, u, rng = schedule.initial_latent, schedule.inputs(), stream(schedule.seed, "written", "noise")
        fire = self.membrane(network.neuron, schedule.initial_voltage, dt_s)
        h, latent, times, neurons, trials = schedule.factor, [], [], [], []
        q, c, sections = schedule.initial_decoded, schedule.rise_decay, schedule.noise_sections
        past = [np.zeros_like(z) for _ in range(4)]  # xi and chi of the last two steps
        r = None if h is None else h.start
        for n in range(schedule.steps):
            if n % schedule.stride == 0:
                latent.append(z)
            progress(n / schedule.steps)
            s = fire(z @ network.encoders.T + network.bias)
            xi = rng.standard_normal(z.shape)
            chi = xi
            if sections is not None:
                b0, b1, b2, a1, a2 = sections.T
                chi = b0 * xi + b1 * past[0] + b2 * past[1] - a1 * past[2] - a2 * past[3]
                past = [xi, past[0], chi, past[2]]
            noise = chi @ schedule.noise_factor.T
            if h is not None:
                by_trial = r.reshape(len(z), network.rank, network.rank)
                noise += schedule.noise_scale * (by_trial @ xi[..., None])[..., 0]
                r = h.decay * r + (1 - h.decay) * s @ h.decoders.T / dt_s
            q = c * q + (1 - c) * s @ network.decoders.T / dt_s
            z = a * z + (1 - a) * (u[n] + q) + noise
            trial, neuron = np.nonzero(s)
            times.append(np.full(len(trial), (n + 1) * dt_s))
            neurons.append(neuron)
            trials.append(trial)
        spikes = Spikes.sorted(*map(np.concatenate, (times, neurons, trials)))
        return Trace(np.stack(latent, axis=1), spikes, {"numpy": np.__version__})

    def drive(self, loop):
        network, risen, filtered = loop.network, *np.zeros((2, loop.network.neurons))
        fire = self.membrane(network.neuron, loop.initial_voltage, loop.dt_s)
        for z in loop.path:
            s = fire(network.encoders @ z + network.bias)
            risen = loop.rise_decay * risen + (1 - loop.rise_decay) * s / loop.dt_s
            filtered = loop.decay * filtered + (1 - loop.decay) * risen
            yield filtered[None]

    def membrane(self, neuron, voltage, dt_s):
        v, wait, left = voltage.copy(), np.zeros(voltage.shape, int), np.exp(-dt_s / neuron.tau_membrane_s)

        def step(current):
            v[:] = np.where(wait > 0, 0.0, np.maximum(current + (v - current) * left, 0.0))
            fired = v > 1.0
            v[fired] = 0.0
            wait[:] = np.where(fired, neuron.refractory_steps(dt_s), np.maximum(wait - 1, 0))
            return fired.astype(float)

        return step


class Counting:
    """The reference, which notes what it is asked."""

    name = "reference"
    spike_timing: SpikeTiming = "grid"

    def __init__(self):
        self.calls = []

    def unsupported(self, network, *, dt_s, stimulus):
        self.calls.append(("unsupported", dt_s, stimulus.empty))
        return []

    def run(self, schedule, progress):
        self.calls.append("run")
        return ReferenceBackend().run(schedule, progress)

    def drive(self, loop):
        self.calls.append("drive")
        return ReferenceBackend().drive(loop)


def in_closed_loop(network, backend, dt_s=None):
    return simulate(network, backend=backend, duration=0.1, trials=1, dt_s=dt_s)


def in_open_loop(network, backend, dt_s=None):
    return drive(network, np.zeros((5, 2)), backend=backend, dt_s=dt_s)


verbs = pytest.mark.parametrize("verb", [in_closed_loop, in_open_loop])


def spikes_of(recording):
    return recording.spikes.time_s, recording.spikes.neuron, recording.spikes.trial


def test_a_simulator_written_from_the_contract_fires_with_the_reference(make_spiking):
    network, settings = (
        make_spiking(rise_s=4e-3),
        {"duration": 3.0, "trials": 3, "seed": 4, "spikes": True, "stimulus": STIMULUS},
    )
    found, expected = (simulate(network, backend=b, **settings) for b in (Written(), ReferenceBackend()))
    assert len(expected.spikes.time_s) > 100
    assert all(np.array_equal(*pair) for pair in zip(spikes_of(found), spikes_of(expected), strict=True))
    assert np.abs(found.samples - expected.samples).max() < 1e-10  # as in test_closed_loop.py
    longer = dataclasses.replace(network, neuron=LIF(refractory_s=network.neuron.refractory_s + network.dt_s))
    late = simulate(longer, backend=Written(), **settings)
    assert not np.array_equal(late.spikes.time_s, expected.spikes.time_s)


def test_its_noise_is_that_of_the_reference(make_spiking, monkeypatch):
    """From the same generator, constant and by state: the numbers of a step and trial are drawn together."""
    own = stream
    monkeypatch.setattr(f"{__name__}.stream", lambda seed, *names: own(seed, "reference", "noise"))
    by_state = {
        "diffusion_decoders": 1e-3 * np.random.default_rng(3).standard_normal((2, 2, 8)),
        "diffusion_filter_s": 0.02,
    }
    colour = {"noise_colour": np.array([[2.0, 9.0, 12.0, 1.0], [8.0, 4.0, 30.0, 0.3]])}
    for fields in ({}, by_state, colour, by_state | colour):
        network = make_spiking(diffusion_factor=np.array([[0.3, 0.0], [0.1, 0.2]]), **fields)
        settings = {"duration": 2.0, "trials": 3, "seed": 4}
        found, expected = (simulate(network, backend=b, **settings).samples for b in (Written(), ReferenceBackend()))
        assert np.abs(found - expected).max() < 1e-10
        quiet = simulate(dataclasses.replace(network, diffusion_factor=np.zeros((2, 2))), backend=Written(), **settings)
        assert np.abs(quiet.samples - expected).max() > 0.1


def test_its_blocks_are_put_together_whatever_their_length(make_spiking, filtered):
    network, path = make_spiking(rise_s=4e-3), np.cumsum(np.random.default_rng(0).normal(0, 0.05, (700, 2)), axis=0)
    found, expected = (filtered(backend, network, path, seed=3) for backend in (Written(), ReferenceBackend()))
    assert expected.max() > 10
    assert np.abs(found - expected).max() < 1e-9


def test_a_run_asks_once(make_spiking):
    backend, network = Counting(), make_spiking()
    simulate(network, backend=backend, duration=0.1, trials=1, stimulus=STIMULUS)
    assert backend.calls == [("unsupported", network.dt_s, False), "run"]


def test_a_drive_asks_once_and_before_the_first_block(make_spiking):
    backend, network = Counting(), make_spiking()
    blocks = drive(network, np.zeros((5, 2)), backend=backend, dt_s=5e-4)
    assert backend.calls == [("unsupported", 5e-4, True), "drive"]
    assert sum(len(block) for block in blocks) == 5


@verbs
def test_what_concerns_every_backend_is_not_asked_of_an_adapter(verb, make_spiking, make_rate):
    backend = Counting()
    for network, dt_s, words in ((make_rate(), None, "RateNetwork"), (make_spiking(), 3e-3, "refractory period")):
        with pytest.raises(UnsupportedError, match=f"Backend reference cannot run this network.*{words}"):
            verb(network, backend, dt_s)
    assert backend.calls == []


@verbs
def test_an_adapter_that_checks_nothing_runs_nothing_unchecked(verb, make_spiking):
    network = make_spiking(neuron=LIF(refractory_s=2.5e-3))  # no whole number of steps
    with pytest.raises(UnsupportedError, match=r"Backend written cannot run this network.*Use dt_s = 0\.00125"):
        verb(network, Written())
    assert gaps(Written(), network)
    assert not gaps(Written(), network, dt_s=1.25e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda trace: dataclasses.replace(trace, latent=trace.latent[:, 1:]),
            r"shape \(2, 4, 2\); \(2, 5, 2\) was due",
        ),
        (lambda trace: dataclasses.replace(trace, spikes=None), "returned no spikes"),
    ],
    ids=["a sample is missing", "spikes are missing"],
)
def test_a_trace_that_does_not_answer_the_schedule_is_refused(change, words, make_spiking):
    class Wrong(Written):
        def run(self, schedule, progress):
            return change(super().run(schedule, progress))

    with pytest.raises(InputError, match=f"Backend written .*{words}"):
        simulate(make_spiking(), backend=Wrong(), duration=0.1, trials=2, spikes=True)


def test_recordings_carry_what_the_trace_says(make_spiking):
    network = make_spiking()
    provenance = simulate(network, backend=Written(), duration=0.1, trials=1, seed=7).provenance
    assert provenance["backend"] == "written"
    assert provenance["versions"].keys() == {"ddm2snn", "numpy"}
    assert (provenance["options"], provenance["device"], provenance["seed"]) == ({}, "cpu", 7)
    assert (provenance["dt_s"], provenance["time_unit_s"]) == (network.dt_s, network.time_unit_s)
