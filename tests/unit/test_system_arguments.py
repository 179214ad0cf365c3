"""What a target system refuses when it is made, and when it is sampled for training."""

# What must not be written to is written to:
# pyright: reportIndexIssue=false

from __future__ import annotations

import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError, System


def system_of(**fields):
    return System(**{"name": "mine", "rank": 2, "drift": lambda z: -z, "diffusion": 0.5, **fields})


@pytest.mark.parametrize("name", ["rank", "units"])
@pytest.mark.parametrize("bad", [0, -1, 2.0, "2", None])
def test_rank_and_units_are_counts(refuses, name, bad):
    with refuses(InputError, f"System.{name} must be a whole number above zero, got {bad!r}"):
        system_of(**{name: bad})


def test_latents_have_a_name_each(refuses):
    assert system_of(latent_names=["V (mV)", "w"]).latent_names == ("V (mV)", "w")
    with refuses(InputError, "System.latent_names must be 2 names, got ('V',)"):
        system_of(latent_names=["V"])


@pytest.mark.parametrize("bad", [None, 3, np.zeros(2), "lambda z: -z"])
def test_a_drift_is_a_function(refuses, bad):
    with refuses(InputError, "System.drift must be a function of arrays (..., rank)"):
        system_of(drift=bad)


@pytest.mark.parametrize("shape", [(2,), (3, 3), (2, 3), (1, 2, 2)])
def test_a_diffusion_matrix_has_the_shape_of_the_rank(refuses, shape):
    with refuses(InputError, "System.diffusion must have shape (2, 2)", f"got {shape}"):
        system_of(diffusion=np.ones(shape))


@pytest.mark.parametrize("bad", [np.nan, np.diag([1.0, np.inf]), [[1.0, 0.0], [0.0, np.nan]]])
def test_a_diffusion_is_finite(refuses, bad):
    with refuses(InputError, "System.diffusion holds NaN or infinity"):
        system_of(diffusion=bad)


def test_an_infinite_diffusion_is_refused_without_a_warning(refuses):
    with refuses(InputError, "System.diffusion holds NaN or infinity"):
        system_of(diffusion=np.inf)


def test_a_diffusion_is_a_number_or_a_matrix(refuses):
    with refuses(InputError, "System.diffusion must be a number, a matrix or a function, got 'strong'"):
        system_of(diffusion="strong")


def test_a_diffusion_function_must_return_matrices(refuses):
    system = system_of(diffusion=lambda z: z)
    assert system.constant_factor is None
    with refuses(InputError, "System mine: diffusion of an array (5, 2) has shape (5, 2)", "of shape (5, 2, 2) here"):
        system.factor(np.zeros((5, 2)))


def test_the_factor_at_states_has_one_matrix_per_state():
    states = np.arange(12.0).reshape(3, 2, 2)
    assert system_of(diffusion=0.5).factor(states).shape == (3, 2, 2, 2)
    by_state = system_of(diffusion=lambda z: z[..., :1, None] * np.eye(2))
    assert np.array_equal(by_state.factor(states)[..., 1, 1], states[..., 0])


def constant_factor_of(system):
    factor = system.constant_factor
    assert factor is not None
    return factor


def test_a_number_is_that_multiple_of_the_identity():
    assert constant_factor_of(system_of(diffusion=0.25)).tolist() == [[0.25, 0.0], [0.0, 0.25]]
    assert not constant_factor_of(system_of(diffusion=0)).any()


def test_the_factor_is_a_read_only_copy():
    factor = np.array([[1.0, 0.5], [0.0, 2.0]])
    system = system_of(diffusion=factor)
    factor[:] = 0.0
    assert constant_factor_of(system).tolist() == [[1.0, 0.5], [0.0, 2.0]]
    with pytest.raises(ValueError, match="read-only"):
        constant_factor_of(system)[0, 0] = 3.0


def test_what_is_known_is_a_read_only_copy():
    known = {"period": 1.0}
    system = system_of(known=known)
    known["period"] = 2.0
    assert system.known["period"] == 1.0
    with pytest.raises(TypeError):
        system.known["period"] = 3.0


@pytest.mark.parametrize("shape", [(200, 3), (2,), (199, 2), (200, 2, 1)])
def test_starting_points_of_a_wrong_shape(refuses, quick, shape):
    with refuses(InputError, "System.initial must return shape (200, 2)", f"got {shape}"):
        ddm2snn.train(system_of(initial=lambda rng, count: np.zeros(shape)), training=quick)


@pytest.mark.parametrize(
    ("drift", "shape"),
    [
        (lambda z: z[..., 0], "(200,)"),
        (lambda z: np.concatenate([z, z], axis=-1), "(200, 4)"),
        (lambda z: 0.0, "()"),
        (np.transpose, "(2, 200)"),
    ],
)
def test_a_drift_of_a_wrong_shape(refuses, quick, drift, shape):
    with refuses(
        InputError, "System mine: drift of an array (200, 2) has shape " + shape, "must act on arrays (..., rank)"
    ):
        ddm2snn.train(system_of(drift=drift), training=quick)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_drift_that_is_no_number_at_the_start(refuses, quick, bad):
    with refuses(InputError, "System mine: the drift is NaN or infinite at its starting points"):
        ddm2snn.train(system_of(drift=lambda z: np.full_like(z, bad)), training=quick)


def test_starting_points_that_are_nan(refuses, quick):
    with refuses(InputError, "System mine", "NaN or infinite at its starting points"):
        ddm2snn.train(system_of(initial=lambda rng, count: np.full((count, 2), np.nan)), training=quick)


@pytest.mark.parametrize(
    "fields",
    [
        {"diffusion": 0.0},  # both come to rest at the origin
        {"diffusion": np.diag([1.0, 0.0])},  # the second one does
        {"drift": lambda z: np.zeros_like(z), "diffusion": 0.0, "initial": lambda rng, count: np.ones((count, 2))},
    ],
)
def test_a_latent_that_stands_still(refuses, quick, fields):
    with refuses(InputError, "System mine: a latent is constant in the stationary state", "Drop it or add noise"):
        ddm2snn.train(system_of(**fields), training=quick)


@pytest.mark.parametrize("power", [2, 3])
def test_a_system_that_explodes(refuses, quick, power):
    with refuses(InputError, "its trajectories still grow", "Check the sign of its drift, or confine it"):
        ddm2snn.train(system_of(drift=lambda z: z**power, diffusion=0.1), training=quick)


def test_a_system_that_escapes_late(refuses, quick):
    # stable at the origin, but the noise carries every trajectory over the barrier in the end
    with refuses(InputError, "left the range of finite numbers"):
        ddm2snn.train(system_of(drift=lambda z: -z + 0.2 * z**3), training=quick)


def test_a_system_that_grows_for_ever(refuses, quick):
    with refuses(InputError, "System mine"):
        ddm2snn.train(system_of(drift=lambda z: z), units=4, training=quick)


def test_pure_noise_has_no_stationary_state(refuses, quick):
    with refuses(InputError, "System mine"):
        ddm2snn.train(system_of(drift=np.zeros_like), units=4, training=quick)


def test_a_drift_with_a_pole_is_refused_without_a_warning(refuses, quick):
    with refuses(InputError, "System mine", "NaN or infinite"):
        ddm2snn.train(system_of(drift=lambda z: 1.0 / (0.0 * z)), training=quick)


def test_a_drift_that_no_step_resolves(refuses, quick):
    with refuses(InputError, "No time step above", "resolves this drift", "discontinuities"):
        rough = system_of(
            drift=lambda z: 1e9 * np.sin(1e9 * z), initial=lambda rng, n: rng.random((n, 2)), time_scale=1.0
        )
        ddm2snn.train(rough, training=quick)
