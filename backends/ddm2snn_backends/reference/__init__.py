"""The reference: a NumPy loop that can be checked by eye."""

from ddm2snn_backends.reference.backend import ReferenceBackend

__all__ = ["ReferenceBackend"]
