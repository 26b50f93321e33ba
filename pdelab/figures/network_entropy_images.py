"""Figure 3.5 and the first rows of Table 3.1 of Chaudhari's thesis at the scale of the built-in digits.

Entropy-SGD against Adam and SGD on a fully-connected and a convolutional network, in effective epochs: an outer step
costs L gradients. What reproduces: comparable errors. What does not: training is not faster.
"""

from pdelab.figures.network_pde import contestants
from pdelab.figures.races import draw_panels, race

NAME = "3.5"
TITLE = "Entropy-SGD reaches the error of Adam and SGD in as many effective epochs"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "mlp", "lenet": "digits-lenet", "epochs": 0, "seeds": 10}
QUICK = {"seeds": 3}
CHECKS = {"fully_connected_entropy_sgd_difference": (-1.0, 1.0), "convolutional_entropy_sgd_difference": (-2.5, 2.5)}


def compute(data, folder, mlp, lenet, epochs, seeds):
    """Curves and paired differences to Adam."""
    names = ("adam", "sgd", "entropy-sgd")
    panels = {
        "fully connected": contestants("digits-mlp", mlp, data, folder, epochs, names),
        "convolutional": contestants("digits-lenet", lenet, data, folder, epochs, names),
    }
    return race(panels, seeds=seeds)


def draw(data):
    """Curves beside paired differences, one row a network."""
    return draw_panels(data, TITLE)
