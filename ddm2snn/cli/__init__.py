"""The command line: each command is a Python verb with files around it."""
