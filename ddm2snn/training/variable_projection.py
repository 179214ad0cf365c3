"""Variable projection: hidden units by L-BFGS, the read-out in closed form inside the loss."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import reduce
from typing import TYPE_CHECKING, Literal

import numpy as np

from ddm2snn.base.threads import add_gram, in_order
from ddm2snn.errors import InputError
from ddm2snn.neuron.activation import LIF_UNIT, Activation

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

Device = Literal["cpu", "cuda"]

_WHOLE, _PART = 1_000_000, 250_000  # samples times units: up to which one thread takes all, and its parts beyond
_CHUNK = 10  # iterations between decisions whether to go on
_LEAST_DECREASE = 1e-2  # of the loss in a chunk, relative: below, the descent ends
_CHUNKS_BEFORE_FORECAST = 10  # early chunks say little about how the misfit goes on falling
_HIGH_PENALTY = 0.5  # of the misfit: where the ridge costs more, a smaller ridge is worth trying
_THRESHOLD_WIDTH = 0.02  # of the smoothed LIF response, in units of the threshold current


class VariableProjection:
    r"""Least squares of :math:`\phi(z\Gamma^\top + b)\,W_s^\top` on a target, both layers free.

    After solving for the read-out the loss is
    :math:`\min_{W_s} \langle w^2|\Phi W_s^\top - y|^2\rangle + \lambda |W_s|^2`, minimised over
    :math:`(\Gamma, b)`. The read-out is the minimum of this loss, ridge included, so its derivative by
    :math:`(\Gamma, b)` does not enter the gradient. Source: Golub, Pereyra, SIAM J. Numer. Anal. 10 (1973).

    The arguments are z, y and w, starting values of :math:`\Gamma` and b, and :math:`\phi`. The response of LIF neurons
    has an infinite slope at threshold, so hidden units descend on a smoothed one (Hunsberger, Eliasmith,
    arXiv 1611.05141); the read-out is solved for the exact one. All is computed in float64.
    """

    def __init__(
        self,
        points: Float[np.ndarray, "sample rank"],
        target: Float[np.ndarray, "sample output"],
        weight: Float[np.ndarray, " sample"],
        left_vectors: Float[np.ndarray, "unit rank"],
        bias: Float[np.ndarray, " unit"],
        activation: Activation = "tanh",
        device: Device = "cpu",
    ) -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("device cuda was asked for, but torch finds no CUDA device. Use device='cpu'.")
        place = {"dtype": torch.float64, "device": torch.device(device)}
        self.points = torch.as_tensor(points, **place)
        self.weight = torch.as_tensor(weight, **place)[:, None]
        self.target = torch.as_tensor(target, **place) * self.weight
        self.gamma = torch.as_tensor(left_vectors, **place).requires_grad_()
        self.bias = torch.as_tensor(bias, **place).requires_grad_()
        self.activation: Activation = activation
        self.history: list[float] = []
        self.misfit = np.inf

        samples, units = len(self.points), len(self.bias)
        rows = samples if device == "cuda" or samples * units < _WHOLE else max(1, _PART // units)
        self._parts = [slice(first, first + rows) for first in range(0, samples, rows)]

    def _hidden(self, rows: slice, *, smooth: bool) -> torch.Tensor:
        current = self.points[rows] @ self.gamma.T + self.bias
        return _activate(self.activation, current, smooth=smooth) * self.weight[rows]

    def _solve(self, parts: list[torch.Tensor], ridge: float) -> torch.Tensor:
        """Read-out from the features of all parts, which add up in their order."""
        import torch

        with torch.no_grad():
            gram, moment = _products([features.detach() for features in parts], self.target)
            gram.diagonal().add_(ridge)
            return torch.cholesky_solve(moment, torch.linalg.cholesky(gram))

    def loss(self, ridge: float) -> float:
        """Loss at the hidden units as they are."""
        with _one_thread():
            return float(self._loss(ridge))

    def _loss(self, ridge: float) -> torch.Tensor:
        """Loss, with its gradient in the hidden units."""
        import torch

        parts = list(in_order(lambda rows: self._hidden(rows, smooth=True), self._parts))
        readout = self._solve(parts, ridge)

        def descent(part: tuple[torch.Tensor, slice]) -> tuple[torch.Tensor, ...]:
            features, rows = part
            share = len(features) / len(self.points)
            misfit = share * ((features @ readout - self.target[rows]) ** 2).sum(dim=1).mean()
            return misfit.detach(), *torch.autograd.grad(misfit, (self.gamma, self.bias))

        sums = in_order(descent, zip(parts, self._parts, strict=True))
        misfit, self.gamma.grad, self.bias.grad = (reduce(torch.add, terms) for terms in zip(*sums, strict=True))
        self.misfit = float(misfit)
        return misfit + ridge * (readout**2).sum()

    def descend(self, ridge: float, iterations: int, progress: Callable[[float], None], goal: float = 0.0) -> None:
        r"""Take at most `iterations` steps of L-BFGS at one ridge :math:`\lambda`; `history` gains the losses.

        The descent ends early where ten steps lower the loss by less than a hundredth. It also ends where the misfit
        (the loss without its ridge) is limited by the ridge and is forecast to stay above `goal`: falling in each
        further ten steps by the same factor as in the last ten. A goal of zero asks for no forecast.
        """
        import torch

        optimiser = torch.optim.LBFGS(
            [self.gamma, self.bias], max_iter=min(_CHUNK, iterations), history_size=50,
            line_search_fn="strong_wolfe", tolerance_grad=1e-10, tolerance_change=1e-13,
        )  # fmt: skip
        before = len(self.history)

        def closure() -> torch.Tensor:
            loss = self._loss(ridge)
            self.history.append(float(loss))
            progress(min(1.0, (len(self.history) - before) / (1.25 * iterations)))
            return loss

        try:
            with _one_thread():
                chunks = -(-iterations // _CHUNK)
                for left in reversed(range(chunks)):
                    misfit = self.misfit
                    at_first = float(optimiser.step(closure))
                    if not at_first - self.history[-1] > _LEAST_DECREASE * at_first:
                        break
                    limited = self.history[-1] - self.misfit > _HIGH_PENALTY * self.misfit
                    forecast = self.misfit * (self.misfit / misfit) ** left
                    if goal and limited and chunks - left >= _CHUNKS_BEFORE_FORECAST and forecast > goal:
                        break
        except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
            raise InputError(
                "Training broke down: its features are not finite, or repeat. Use a larger ridge."
            ) from error
        if not np.isfinite(self.history[-1]):
            raise InputError("Training diverged: the loss is not finite. Use a larger ridge or fewer units.")

    def readout(self, ridge: float) -> Float[np.ndarray, "unit output"]:
        """Solve for W_s^T at the hidden units as they are."""
        import torch

        with _one_thread(), torch.no_grad():
            return self._solve([self._hidden(rows, smooth=False) for rows in self._parts], ridge).cpu().numpy()

    def hidden_weights(self) -> tuple[Float[np.ndarray, "unit rank"], Float[np.ndarray, " unit"]]:
        """Gamma and b as they are, as arrays of the caller's own."""
        return self.gamma.detach().cpu().numpy().copy(), self.bias.detach().cpu().numpy().copy()


def _products(parts: list[torch.Tensor], target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of features times features, and of features times targets, over the samples of all parts."""
    import torch

    samples, units = len(target), parts[0].shape[1]
    if target.device.type != "cpu":
        (features,) = parts
        return features.T @ features / samples, features.T @ target / samples
    gram, moment, first = np.zeros((units, units)), np.zeros((units, target.shape[1])), 0
    for part in parts:
        phi = part.numpy()  # NumPy sees that the product with itself is symmetric: half the work
        add_gram(gram, phi)
        moment += phi.T @ target[first : first + len(phi)].numpy()
        first += len(phi)
    return torch.from_numpy(gram / samples), torch.from_numpy(moment / samples)


def _activate(activation: Activation, x: torch.Tensor, *, smooth: bool) -> torch.Tensor:
    """`ddm2snn.neuron.activation.activate` in torch; `smooth` rounds off the threshold of the LIF response."""
    import torch

    if activation == "tanh":
        return 2.0 * torch.sigmoid(2.0 * x) - 1.0  # tanh to rounding; torch takes three times as long for tanh itself
    if activation == "relu":
        return torch.relu(x)
    width = _THRESHOLD_WIDTH
    above = torch.relu(x - 1.0)
    if smooth:  # clamped, since the slope of log1p(1 / above) is no number at zero
        above = torch.clamp(width * torch.nn.functional.softplus((x - 1.0) / width), min=1e-12)
    ratio = LIF_UNIT.single_tau_s / LIF_UNIT.refractory_s
    return 1.0 / (1.0 + ratio * torch.log1p(1.0 / above))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread, as `ddm2snn.base.threads.one_thread` keeps BLAS."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
