"""``python -m ddm2snn.cli``."""

from ddm2snn.cli.main import main

main()
