"""Figure 3.5 and two rows of Table 3.1 of Chaudhari's thesis at the scale of the built-in digits.

Entropy-SGD against Adam and SGD on a fully-connected and a convolutional network, in effective epochs: an outer step
costs L gradients. What reproduces: errors of one size. What does not: a clear gain in speed; the epochs from which on
the curves stay near their ends (numbers *_reached) are few for all, and their order differs from network to network.
The printed settings on the thesis's data: --set data=mnist folder=... (mnistfc and lenet, 100 epochs).
"""

from pdelab.figures.network_figure_4_2 import panels
from pdelab.figures.races import draw_panels, race, reached_ratios

NAME = "3.5"
TITLE = "Entropy-SGD against Adam and SGD on two networks: undecided, and not clearly sooner"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "", "lenet": "", "epochs": 0, "seeds": 10}
QUICK = {"seeds": 3}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "fully_connected_adam_mean": (None, 6.0),
    "convolutional_adam_mean": (None, 12.0),
    "fully_connected_entropy_sgd_difference": (-1.0, 1.0),
    "convolutional_entropy_sgd_difference": (-1.5, 1.5),
    "fully_connected_reached_ratio": (0.2, None),
    "convolutional_reached_ratio": (0.2, None),
}
QUICK_CHECKS = CHECKS | {"convolutional_entropy_sgd_difference": (-2.5, 2.5)}  # three seeds


def compute(data, folder, mlp, lenet, epochs, seeds):
    """Curves and paired differences to Adam."""
    found = race(panels(("adam", "sgd", "entropy-sgd"), data, folder, mlp, lenet, epochs), seeds=seeds, margin=MARGIN)
    return found | reached_ratios(found, "entropy-sgd")


def draw(data):
    """Curves beside paired differences, one row a network."""
    return draw_panels(data)
