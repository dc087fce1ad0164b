"""Stage `kernels`: which kernels a kit has, which of them a runtime needs, and what its library can be without."""
