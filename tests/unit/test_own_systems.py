"""Systems of a user's own: any units and clock, any way of writing a drift, no result that missed without a word."""

# Lists and numbers stand for arrays here, and settings are given by name:
# pyright: reportArgumentType=false

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
import warnings

import numpy as np
import pytest
import torch
import user_systems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import ddm2snn
from ddm2snn import InputError, Static, System, Training
from ddm2snn.conversion.lost_runs import lost_from_far, lost_on_device
from ddm2snn.errors import MissedWarning
from ddm2snn.network import to_internal
from ddm2snn.systems import forced
from ddm2snn.systems.scales import Scales, find_scales

POINTS = np.random.default_rng(5).standard_normal((7, 2))


def van_der_pol(z):
    return np.stack([z[..., 1], (1 - z[..., 0] ** 2) * z[..., 1] - z[..., 0]], axis=-1)


@functools.cache
def by_scipy(name, span):
    """Means, standard deviations and time unit of a noise-free cycle by SciPy, over the second half of a span."""
    system = user_systems.TRAINED[name] if name in user_systems.TRAINED else user_systems.van_der_pol()
    start = np.zeros(system.rank) + 0.1
    times = np.linspace(span / 2, span, 40_000)
    z = solve_ivp(lambda _, z: system.drift(z), (0, span), start, "LSODA", times, rtol=1e-8, atol=1e-10).y.T
    speed = np.sqrt(np.mean((system.drift(z) / z.std(axis=0)) ** 2))
    return z.mean(axis=0), z.std(axis=0), 1 / speed


def scales_of(system, seed=0):
    return find_scales(system, np.random.default_rng(seed))


class TestScales:
    def test_a_slow_decay(self):
        scales = scales_of(user_systems.TRAINED["slow decay"])
        assert scales.size[0] == pytest.approx(np.sqrt(0.1**2 * 2000 / 2), rel=0.05)
        assert scales.time == pytest.approx(2000, rel=0.05)

    @pytest.mark.parametrize("power", [-9, -3, 9])
    def test_sizes(self, power):
        scales = scales_of(user_systems.van_der_pol(size=10.0**power))
        assert scales.size / 10.0**power == pytest.approx(by_scipy("cycle", 200.0)[1], rel=0.03)
        assert scales.time == pytest.approx(by_scipy("cycle", 200.0)[2], rel=0.03)

    @pytest.mark.parametrize("power", [-6, 3])
    def test_times(self, power):
        scales = scales_of(user_systems.van_der_pol(time=10.0**power))
        assert scales.size == pytest.approx(by_scipy("cycle", 200.0)[1], rel=0.03)
        assert scales.time / 10.0**power == pytest.approx(by_scipy("cycle", 200.0)[2], rel=0.03)

    def test_units_that_differ_between_latents(self):
        scales = scales_of(user_systems.TRAINED["Morris-Lecar"])
        rng, z, dt, kept = np.random.default_rng(1), np.tile([-20.0, 0.2], (64, 1)), 0.05, []
        for step in range(40_000):  # noise matters here: 2,000 ms by Euler and Maruyama, the second half kept
            z = z + dt * user_systems.morris_lecar(z) + np.sqrt(dt) * rng.standard_normal(z.shape) * [0.5, 0.002]
            if step >= 20_000 and step % 20 == 0:
                kept.append(z)
        assert scales.size == pytest.approx(np.std(kept, axis=(0, 1)), rel=0.1)
        assert (np.abs(scales.origin - np.mean(kept, axis=(0, 1))) < 0.1 * scales.size).all()

    @pytest.mark.slow
    def test_hodgkin_and_huxley_without_initial_states(self):
        scales = scales_of(user_systems.TRAINED["Hodgkin-Huxley"])
        mean, deviation, _ = by_scipy("Hodgkin-Huxley", 1000.0)
        assert scales.size == pytest.approx(deviation, rel=0.15)
        assert (np.abs(scales.origin - mean) < 0.15 * deviation).all()

    def test_a_system_that_declares_both_is_taken_as_it_is(self):
        system = System("own", 1, lambda z: -z, initial=lambda rng, n: rng.standard_normal((n, 1)), time_scale=1.0)
        assert scales_of(system).trivial
        assert not scales_of(System("own", 1, lambda z: -z, diffusion=1.0)).trivial

    def test_a_declared_time_is_kept(self):
        scales = scales_of(System("own", 1, lambda z: -z, diffusion=1.0, time_scale=0.25))
        assert scales.time == 0.25
        assert scales.size[0] == pytest.approx(np.sqrt(0.5), rel=0.05)

    def test_progress_moves_from_the_start_to_the_end(self):
        shares = []
        find_scales(System("own", 1, lambda z: -z, diffusion=1.0), np.random.default_rng(0), shares.append)
        assert shares[0] < 0.01
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


@pytest.mark.parametrize("name", [name for name in user_systems.REFUSED if name != "deep wells"])
def test_what_cannot_be_trained_on_is_refused_for_its_reason(refuses, name):
    system, reason = user_systems.REFUSED[name]
    with refuses(InputError, reason):
        ddm2snn.train(system, units=4)


@pytest.mark.slow
def test_basins_that_do_not_mix_are_refused_unless_initial_states_say_how_many_start_in_each(refuses):
    wells = {"rank": 1, "drift": lambda z: 20 * (z - z**3), "diffusion": 0.1}
    with refuses(InputError, "basins that do not mix", "Give `initial`"):
        scales_of(System("wells", **wells))
    both = scales_of(System("wells", **wells, initial=lambda rng, n: rng.choice([-1.0, 1.0], (n, 1))))
    assert both.size[0] == pytest.approx(1.0, rel=0.05)


class TestTraining:
    def test_a_network_is_in_the_systems_units_and_time(self):
        system = user_systems.van_der_pol(size=1e-3, time=50.0)
        network = ddm2snn.train(system, units=24, seed=2, training=Training(error=0.05))
        states = network.initial_latent
        assert states.std(axis=0) == pytest.approx(1e-3 * by_scipy("cycle", 200.0)[1], rel=0.1)
        truth = system.checked_drift(states)
        assert np.abs(network.drift(states) - truth).mean() < 0.05 * np.abs(truth).mean()
        assert network.diffusion(states[:1])[0] == pytest.approx(system.factor(states[0]) @ system.factor(states[0]))
        assert network.time_scale == pytest.approx(41, rel=0.03)

    def test_runs_have_the_systems_time_as_a_coordinate(self, tmp_path):
        decay = System("decay", 1, lambda z: -z / 500, diffusion=0.1)
        network = ddm2snn.train(decay, units=8, training=Training(points=400, iterations=15, holdout=300, ridge=1e-6))
        network.save(tmp_path / "rate.safetensors")
        again = ddm2snn.RateNetwork.load(tmp_path / "rate.safetensors")
        assert again.fingerprint == network.fingerprint
        assert again.time_scale == network.time_scale == pytest.approx(500, rel=0.05)
        spiking = ddm2snn.convert(network, decoders=Static(), time_unit_s=0.1).network
        assert spiking.time_scale == network.time_scale
        for made in (network, spiking):
            run = ddm2snn.simulate(made, duration=2.0, every=0.5, trials=2)
            run.save(tmp_path / "run.nc")
            time = ddm2snn.Recording.load(tmp_path / "run.nc").latent["system_time"].values
            assert time == pytest.approx(np.arange(4) * 0.5 * network.time_scale)

    def test_durations_and_inputs_may_be_in_the_systems_time(self, cli, tmp_path):
        decay = System("decay", 1, lambda z: -z / 500, diffusion=0.01)
        network = ddm2snn.train(decay, units=8, training=Training(points=400, iterations=15, holdout=300, ridge=1e-6))
        network.save(tmp_path / "rate.safetensors")
        (tmp_path / "step.csv").write_text("0, 0.02\n")  # 0.02 in a unit of the system's time holds z at 10
        command = ("simulate", "rate.safetensors", "-o", "run.nc", "--trials", 4, "--stimulus", "step.csv")
        assert cli(*command, "--duration", 3000, "--every", 5, "--system-time")[0] == 0
        run = ddm2snn.Recording.load(tmp_path / "run.nc")
        assert run.latent["system_time"].values[[1, -1]] == pytest.approx([5.0, 2995.0], rel=0.01)
        assert run.samples[:, -1].mean() == pytest.approx(10.0, rel=0.1)

    @settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(size=st.floats(1e-9, 1e9), time=st.floats(1e-6, 1e6))
    def test_units_change_results_by_rounding_only(self, size, time):
        (ours, first), (theirs, second) = _made(1.0, 1.0), _made(size, time)
        assert theirs.left_vectors == pytest.approx(ours.left_vectors, rel=1e-9)
        assert theirs.provenance["drift_error"] == pytest.approx(ours.provenance["drift_error"], rel=1e-6)
        assert theirs.latent_scale / size == pytest.approx(ours.latent_scale, rel=1e-9)
        assert theirs.time_scale / time == pytest.approx(ours.time_scale, rel=1e-9)
        assert first.network.time_unit_s == second.network.time_unit_s
        assert second.diagnostics.drift_error == pytest.approx(first.diagnostics.drift_error, rel=0.02)


@functools.cache
def _made(size, time):
    system = user_systems.van_der_pol(size, time)
    short = Training(points=600, iterations=20, holdout=300, ridge=1e-6)
    network = ddm2snn.train(system, units=12, seed=3, training=short)
    return network, ddm2snn.convert(network, population=ddm2snn.Population(4, tuned=False), decoders=Static(), seed=1)


class TestMissed:
    def test_an_error_above_the_one_asked_for_is_a_warning_and_stays_with_the_network(self):
        with pytest.warns(MissedWarning, match=r"the drift error of latent \d is .*, but 0\.001 was asked. More units"):
            network = ddm2snn.train("vanderpol", units=4, training=Training(points=300, iterations=5, holdout=300))
        assert "was asked" in network.provenance["missed"][0]

    def test_a_ridge_asks_for_no_error(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error", MissedWarning)
            network = ddm2snn.train("ornsteinuhlenbeck", units=16, training=Training(ridge=1e-2, points=800))
        assert "missed" not in network.provenance

    def test_a_conversion_that_loses_the_drift_is_a_warning(self, quick_rate):
        with pytest.warns(MissedWarning, match="The drift error of latent"):
            made = ddm2snn.convert(quick_rate, time_unit_s=0.002, dt_s=5e-4)
        assert made.network.provenance["missed"]

    def test_a_conversion_that_does_not_come_back_from_far_is_counted(self, monkeypatch):
        rate = ddm2snn.train("vanderpol", units=8, seed=5, training=Training(points=400, iterations=40, holdout=200))
        spiking = ddm2snn.convert(rate, backend="reference", time_unit_s=0.1, dt_s=5e-4, seed=5).network
        states = to_internal(rate, ddm2snn.simulate(rate, duration=20.0, every=0.5).samples.reshape(-1, 2))
        assert not lost_from_far(spiking, rate, states, seed=0)
        # two neurons more, that fire where a latent is far outside and then hold it there
        far = np.concatenate([spiking.encoders, [[20.0, 0.0], [0.0, 20.0]]])
        pull = np.concatenate([spiking.decoders, np.diag([0.1, 0.1])], axis=1)
        held = dataclasses.replace(
            spiking, encoders=far, decoders=pull, bias=np.append(spiking.bias, [-60.0, -60.0]),
            unit=np.append(spiking.unit, [0, 0]),
        )  # fmt: skip
        said = lost_from_far(held, rate, states, seed=0)
        count = re.match(r"Of 16 runs from far outside, (\d+) did not come back .* time_unit_s = 0\.1, may help", said)
        assert count is not None
        assert int(count[1]) > 3
        monkeypatch.setattr(importlib.import_module("ddm2snn.conversion.convert"), "lost_runs", lambda *_: said)
        with pytest.warns(MissedWarning, match="Of 16 runs from far outside"):
            ddm2snn.convert(rate, decoders=Static(), time_unit_s=0.1)

    def test_a_conversion_for_a_device_that_does_not_hold_there_is_told(self, monkeypatch):
        conversion = importlib.import_module("ddm2snn.conversion.convert")
        rate = ddm2snn.train("vanderpol", units=8, seed=5, training=Training(points=400, iterations=40, holdout=200))
        config = ddm2snn.find_hardware("loihi1-emulator")
        asked = {"hardware": config, "decoders": ddm2snn.Calibrated(duration=400.0), "time_unit_s": 1.0}
        spiking = ddm2snn.convert(rate, **asked).network
        states = to_internal(rate, ddm2snn.simulate(rate, duration=20.0, every=0.5).samples.reshape(-1, 2))
        assert not lost_on_device(spiking, rate, states, 0)
        loud = dataclasses.replace(spiking, decoders=8.0 * spiking.decoders)
        said = lost_on_device(loud, rate, states, 0)
        assert re.match(r"Of 16 runs on the device, 1\d leave the stationary states", said)
        whisper = dataclasses.replace(spiking, diffusion_factor=1e-4 * spiking.diffusion_factor)
        monkeypatch.setattr(conversion, "assemble", lambda *_: whisper)
        with pytest.raises(InputError, match="they need exponent"):
            ddm2snn.convert(rate, **asked)

    def test_strict_commands_write_the_result_and_exit_with_2(self, cli, tmp_path):
        command = ("train", "vanderpol", "--units", 3, "-o", "rate.safetensors", "--error", 1e-6)
        code, _, err = cli(*command)
        assert code == 0
        assert "Warning: System vanderpol: the drift error" in err
        assert cli(*command, "--strict")[0] == 2
        convert = ("convert", "rate.safetensors", "-o", "snn.safetensors", "--time-unit-s", 0.002)
        code, _, err = cli(*convert, "--strict")
        assert code == 2
        assert "Warning: The drift error of latent" in err
        assert (tmp_path / "snn.safetensors").exists()


class TestDrifts:
    def test_of_one_point(self):
        system = System.from_pointwise(user_systems.pointwise, rank=2, diffusion=0.1)
        assert system.name == "pointwise"
        assert np.array_equal(system.checked_drift(POINTS), van_der_pol(POINTS))
        assert np.array_equal(system.checked_drift(POINTS[0]), van_der_pol(POINTS[0]))

    def test_of_scipys_convention_and_as_a_list(self):
        system = System.from_pointwise(lambda t, z: [z[1], (1 - z[0] ** 2) * z[1] - z[0]], rank=2, name="list")
        assert system.checked_drift(POINTS) == pytest.approx(van_der_pol(POINTS))

    def test_with_a_branch_that_columns_do_not_survive(self):
        system = System.from_pointwise(lambda z: [1.0 if z[0] > 0 else -1.0, z[0]], rank=2, name="branch")
        assert np.array_equal(system.checked_drift(POINTS), np.stack([np.sign(POINTS[:, 0]), POINTS[:, 0]], axis=-1))

    def test_of_tensors(self):
        system = System.from_pointwise(lambda z: torch.sin(torch.as_tensor(np.array(z))), rank=2, name="tensor")
        assert system.checked_drift(POINTS) == pytest.approx(np.sin(POINTS))

    def test_compiled_by_numba(self):
        import numba

        @numba.njit
        def compiled(z):
            out = np.empty(2)
            out[0], out[1] = z[1], -z[0]
            return out

        system = System.from_pointwise(compiled, rank=2)
        assert np.array_equal(system.checked_drift(POINTS), np.stack([POINTS[:, 1], -POINTS[:, 0]], axis=-1))

    def test_that_depend_on_time_are_refused(self, refuses):
        with refuses(InputError, "the drift depends on time", "forced"):
            System.from_pointwise(user_systems.duffing, rank=2)

    def test_a_failure_shows_the_users_own_line(self, refuses):
        with refuses(
            InputError, "failed on an array (3, 2)", "ValueError", "user_systems.py", "x, y = z", "from_pointwise"
        ):
            user_systems.REFUSED["of one point"][0].checked_drift(POINTS[:3])

    def test_a_drift_that_changes_its_argument_says_so(self, refuses):
        with refuses(InputError, "read-only", "must not change its argument"):
            user_systems.REFUSED["in place"][0].checked_drift(POINTS)

    def test_a_failure_is_told_once_where_training_scales_the_system(self, refuses):
        def drift(z):
            if np.abs(z).max() > 1e3:
                raise OverflowError("beyond the table")
            return -z

        inner = System("table", 1, drift, diffusion=0.1).in_scales(Scales(np.zeros(1), np.ones(1), 2.0))
        with pytest.raises(InputError) as caught:
            inner.checked_drift(np.full((3, 1), 2e3))
        assert str(caught.value).count("failed on an array") == 1

    def test_a_function_of_time_that_fails_is_told_in_one_line(self, refuses):
        with refuses(InputError, "drift failed on an array (2,)", "ZeroDivisionError"):
            System.from_pointwise(lambda t, z: [1 / 0, z[0]], rank=2, name="broken")

    def test_a_forced_system_has_constant_noise(self, refuses):
        with refuses(InputError, "forced takes a constant diffusion"):
            forced(user_systems.duffing, period=1.0, rank=2, diffusion=lambda z: z)

    def test_a_diffusion_fails_in_one_line_too(self, refuses):
        def factor(z):
            raise RuntimeError("no table for this state\nat all")

        with refuses(
            InputError, "diffusion failed on an array (7, 2)", "no table for this state", "raise RuntimeError"
        ):
            System("table", 2, lambda z: -z, diffusion=factor).factor(POINTS)

    def test_a_periodic_force_is_a_phase(self):
        system = forced(user_systems.duffing, period=2 * np.pi / 1.2, rank=2, diffusion=0.02)
        phase = np.linspace(0.0, 2 * np.pi, 7)
        z = np.column_stack([POINTS, np.cos(phase), np.sin(phase)])
        x, v = POINTS.T
        expected = [v, x - x**3 - 0.3 * v + 0.5 * np.cos(phase), -1.2 * np.sin(phase), 1.2 * np.cos(phase)]
        assert system.checked_drift(z) == pytest.approx(np.stack(expected, axis=-1), abs=1e-12)
        assert np.array_equal(system.constant_factor, np.diag([0.02, 0.02, 0.0, 0.0]))
