"""CPU kernel of per-sample gradients."""

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def outer_products(slopes, inputs, rows, column):
    """rows[k, column:] ← δ_k a_kᵀ, flat by rows: slopes (samples, n), inputs (samples, m), rows (samples, d).

    Torch's broadcast product starts a loop for every row of every sample; this one is limited by memory.
    """
    width = inputs.shape[1]
    for k in range(slopes.shape[0]):
        start = inputs[k]
        for i in range(slopes.shape[1]):
            first = column + i * width
            slope, place = slopes[k, i], rows[k, first : first + width]
            for j in range(width):
                place[j] = slope * start[j]
