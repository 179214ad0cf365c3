"""Adapter to Nengo."""

from ddm2snn_backends.nengo.backend import NengoBackend

__all__ = ["NengoBackend"]
