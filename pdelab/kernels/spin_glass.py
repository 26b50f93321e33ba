"""Kernel of the spin glass: all products of spins, one degree after the other."""

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def multiply_tails(products, starts, columns, out):
    """The products of k + 1 spins from those of k, in the order of sorted tuples; columns (n, R) are the points.

    products (M, R) begin with spin i or a later one from row starts[i] on; out: spin i times these, for all i.
    """
    row = 0
    for i in range(starts.size):
        for k in range(starts[i], products.shape[0]):
            for r in range(products.shape[1]):
                out[row, r] = columns[i, r] * products[k, r]
            row += 1
