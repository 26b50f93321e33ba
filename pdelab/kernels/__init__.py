"""Numba kernels over plain arrays: one file a subject, each kernel with a slow twin of the same name in tests/twins."""
