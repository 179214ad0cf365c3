"""Adapters from ddm2snn networks to simulators, found through the entry-point group ``ddm2snn.backends``."""
