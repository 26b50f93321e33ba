"""Numba kernels over plain arrays: envelopes (closed forms), slopes (Hamilton-Jacobi, Burgers), tridiagonal sweeps."""
