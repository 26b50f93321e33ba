"""Markov chains in mpmath's arithmetic, with as many digits as it is set to."""

import mpmath


class Chain:
    """The rates of Q with rows that sum to zero exactly."""

    def __init__(self, Q):
        self.n, jumps = Q.shape[0], Q.tocoo()
        self.Q = mpmath.zeros(self.n)
        for i, j, rate in zip(jumps.row, jumps.col, jumps.data):
            if i != j:
                self.Q[int(i), int(j)] = mpmath.mpf(float(rate))
        for i in range(self.n):
            self.Q[i, i] = -mpmath.fsum(self.Q[i, j] for j in range(self.n) if j != i)

    def law(self):
        """The stationary masses."""
        A = self.Q.T.copy()
        for j in range(self.n):
            A[0, j] = 1
        return list(mpmath.lu_solve(A, mpmath.matrix([1] + [0] * (self.n - 1))))

    def solved(self, nodes, load):
        """v on the nodes with -Q v = load there and v = 0 elsewhere."""
        A = mpmath.matrix([[-self.Q[i, j] for j in nodes] for i in nodes])
        return list(mpmath.lu_solve(A, mpmath.matrix(load)))
