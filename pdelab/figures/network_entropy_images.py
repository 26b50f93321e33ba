"""Figure 3.5 and two rows of Table 3.1 of Chaudhari's thesis on the built-in digits, and 4,000 images of MNIST.

Entropy-SGD against Adam and SGD on a fully-connected and a convolutional network, in effective epochs: an outer step
costs L gradients. What reproduces: errors of one size. What does not: a clear gain in speed; the epochs from which on
the curves stay near their ends (numbers *_reached) are few for all, and their order differs from network to network.
The last row has mnistfc, of 256 units a layer, on 3,500 images of MNIST (500 to validate, 1,000 to test). What so many
paired seeds can see is in the numbers *_detectable: a smaller difference is found in fewer than four of five such runs.
The printed settings on the thesis's data: --set data=mnist folder=... (mnistfc and lenet, 100 epochs).
"""

from pdelab.figures.network_figure_4_2 import panels
from pdelab.figures.races import MNIST, draw_panels, images_row, race, reached_ratios

NAME = "3.5"
TITLE = "Entropy-SGD against Adam and SGD: no interval excludes zero in any row, and it is not clearly sooner"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "", "lenet": "", "epochs": 0, "seeds": 10,
              "more": MNIST}  # fmt: skip
QUICK = {"seeds": 3, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "fully_connected_adam_mean": (None, 6.0),
    "convolutional_adam_mean": (None, 12.0),
    "fully_connected_entropy_sgd_difference": (-1.0, 1.0),
    "convolutional_entropy_sgd_difference": (-1.5, 1.5),
    "fully_connected_reached_ratio": (0.2, None),
    "convolutional_reached_ratio": (0.2, None),
    "MNIST_adam_mean": (None, 10.0),
    "MNIST_entropy_sgd_difference": (-1.5, 1.5),
}
QUICK_CHECKS = CHECKS | {"convolutional_entropy_sgd_difference": (-2.5, 2.5)}  # three seeds


def compute(data, folder, mlp, lenet, epochs, seeds, more):
    """Curves and paired differences to Adam; `more` is a further data set for the fully-connected network."""
    names = ("adam", "sgd", "entropy-sgd")
    problems = panels(names, data, folder, mlp, lenet, epochs)
    problems |= images_row("digits-mlp", "mnistfc", names, more, folder, epochs=epochs)
    numbers = race(problems, seeds=seeds, margin=MARGIN)
    return numbers | reached_ratios(numbers, "entropy-sgd")


def draw(data):
    """Curves beside paired differences, one row a network."""
    return draw_panels(data)
