"""The command `ortpack-build`: parses and prints."""
