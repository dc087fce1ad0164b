"""The manifests, what they say of this machine, and the spec that a wanted variant resolves to."""
