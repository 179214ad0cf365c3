"""Maximum mean discrepancy between clouds of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples, thinned

if TYPE_CHECKING:
    from jaxtyping import Float

_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0)  # of the median distance
_FREQUENCIES = 128  # per bandwidth


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Mean of random Fourier features over each trial: all that the discrepancy needs of a recording.

    Parameters
    ----------
    means
        Shape (trial, feature), scaled such that inner products are values of the kernel.
    """

    means: Float[np.ndarray, "trial feature"]


def embed(
    *recordings: Float[np.ndarray, "trial time rank"],
    reference: Float[np.ndarray, "trial time rank"],
    most: int = 20_000,
    seed: int = 0,
) -> list[Embeddings]:
    r"""Embed recordings in the space of a mixture of Gaussian kernels.

    .. math:: k(x, y) = \frac14 \sum_{b} e^{-|x - y|^2 / 2 (b m)^2}, \qquad b \in \{\tfrac14, \tfrac12, 1, 2\}

    with m the median distance of the reference's states, each latent in units of its standard deviation, by 128 random
    frequencies for each b: the cost is linear in the number of samples. Source: Rahimi, Recht, NeurIPS 2007.

    Parameters
    ----------
    recordings
        Samples in system units.
    reference
        Samples whose scale is used.
    most
        Samples per recording, evenly spaced.
    seed
        Of the frequencies.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank), of unequal rank, or a latent that is constant.
    """
    named = {f"recording {i + 1}": samples for i, samples in enumerate(recordings)}
    check_samples("MMD", {"reference": reference, **named})
    centre, scale = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
    if not scale.all():
        raise InputError(f"Latent {int(np.argmin(scale))} of the reference is constant. Leave it out.")
    rng = np.random.default_rng(seed)
    cloud = reference.reshape(-1, len(scale)) / scale
    pairs = rng.integers(len(cloud), size=(2, 2000))
    median = float(np.median(np.linalg.norm(cloud[pairs[0]] - cloud[pairs[1]], axis=1)))
    width = np.repeat(_BANDWIDTHS, _FREQUENCIES) * max(median, 1e-12)
    frequency = rng.standard_normal((len(scale), len(width))) / width / scale[:, None]
    found = []
    for samples in recordings:
        time = thinned(samples.shape[1], len(samples), most)
        means = np.empty((len(samples), 2 * len(width)))
        for trial, states in enumerate(samples[:, time]):
            # the kernels know differences only; about the mean, angles are small enough for single precision
            angle = ((states - centre) @ frequency).astype(np.float32)
            means[trial] = np.concatenate([f(angle).mean(axis=0, dtype=np.float64) for f in (np.cos, np.sin)])
        found.append(Embeddings(means / np.sqrt(len(width))))
    return found


def squared_discrepancy(
    test: Embeddings, reference: Embeddings, weights: Float[np.ndarray, "draw trial"] | None = None
) -> Float[np.ndarray, " draw"]:
    r"""Unbiased squared maximum mean discrepancy, for each draw of the test's trials and their weights.

    .. math:: \widehat{\mathrm{MMD}}^2 = \frac{\sum_{i \ne j} \mu_i \cdot \mu_j}{T (T-1)}
        + \frac{\sum_{i \ne j} \nu_i \cdot \nu_j}{T' (T'-1)} - 2\,\bar\mu \cdot \bar\nu

    with :math:`\mu_i, \nu_j` the embeddings of single trials. Pairs within a trial are left out because its
    samples depend on each other; without a difference the value scatters around zero and can be negative. Resampled
    trials repeat, and pairs of a trial with its own copy are left out as well. Source: Gretton, Borgwardt, Rasch,
    Schoelkopf, Smola, J. Mach. Learn. Res. 13 (2012), with trials in the place of samples.

    Raises
    ------
    InputError
        Where one of the two has a single trial.
    """
    if min(len(test.means), len(reference.means)) < 2:
        raise InputError("MMD needs two trials or more of each recording. Cut a single one into blocks by reshaping.")
    weight = np.ones((1, len(test.means))) if weights is None else weights
    within = _within(test.means, weight)
    known = _within(reference.means, np.ones((1, len(reference.means))))
    mean = weight @ test.means / weight.sum(axis=1, keepdims=True)
    return within + known - 2 * mean @ reference.means.mean(axis=0)


def _within(means: Float[np.ndarray, "trial feature"], weight: Float[np.ndarray, "draw trial"]) -> np.ndarray:
    total = weight @ means
    own = weight**2 @ (means**2).sum(axis=1)
    pairs = weight.sum(axis=1) ** 2 - (weight**2).sum(axis=1)
    return ((total**2).sum(axis=1) - own) / pairs
