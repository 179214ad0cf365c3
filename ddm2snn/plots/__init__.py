"""Every figure; each function returns a matplotlib Figure and touches no global state."""
