"""The commands, one file for each kind of work; `ddm2snn.cli` puts them together."""
