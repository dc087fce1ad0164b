"""Where ONNX Runtime comes from: official wheels, or sources."""
