"""Machines of other targets, played by an emulator."""
