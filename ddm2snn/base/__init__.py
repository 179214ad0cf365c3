"""What every other package stands on: arrays, files, random streams, settings."""
