"""Figure 3.5 and two rows of Table 3.1 of Chaudhari's thesis at the scale of the built-in digits.

Entropy-SGD against Adam and SGD on a fully-connected and a convolutional network, in effective epochs: an outer step
costs L gradients. What reproduces: comparable errors. What does not: a clear gain in speed; the epochs from which on
the curves stay near their ends (numbers *_reached) are few for all, and their order differs from network to network.
The printed settings on the thesis's data: --set data=mnist folder=... (mnistfc and lenet, 100 epochs).
"""

from pdelab.figures.network_pde import panels
from pdelab.figures.races import draw_panels, race

NAME = "3.5"
TITLE = "Entropy-SGD reaches the error of Adam and SGD, and not clearly sooner"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "", "lenet": "", "epochs": 0, "seeds": 10}
QUICK = {"seeds": 3}
CHECKS = {"fully_connected_entropy_sgd_difference": (-1.0, 1.0), "convolutional_entropy_sgd_difference": (-2.5, 2.5)}


def compute(data, folder, mlp, lenet, epochs, seeds):
    """Curves and paired differences to Adam."""
    return race(panels(("adam", "sgd", "entropy-sgd"), data, folder, mlp, lenet, epochs), seeds=seeds)


def draw(data):
    """Curves beside paired differences, one row a network."""
    return draw_panels(data, TITLE)
