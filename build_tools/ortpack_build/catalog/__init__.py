"""Reads the manifests, knows this machine in their words, and resolves what is asked for into a spec."""
