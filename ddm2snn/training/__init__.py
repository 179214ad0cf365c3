"""Training of rate networks by drift-diffusion matching: the only part that uses torch."""

from ddm2snn.training.matching import Training, drift_error, match

__all__ = ["Training", "drift_error", "match"]
