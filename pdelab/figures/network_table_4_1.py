"""Table 4.1 of Chaudhari's thesis at the scale of the digits: Entropy-SGD, HEAT, HJ and SGD on three networks.

The runs of Figures 4.2 and 4.3. What reproduces: HEAT is worse than SGD in every row, HJ and Entropy-SGD in none.
What does not: a clear gain in speed (after the @). The all-convolutional row has the settings tuned for the
convolutional one, which is hard on HEAT: its run there is unfinished (†).
The printed settings on the thesis's data: --set data=mnist cifar=cifar10 folder=...
"""

from pdelab.figures import network_allcnn, network_figure_4_2
from pdelab.figures.races import MNIST, images_row, race
from pdelab.figures.tables import draw_table

NAME = "table-4.1"
TITLE = "Table 4.1: heat smoothing is worse than SGD in every row, unfinished on All-CNN; HJ is better in one"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "cifar": "digits", "folder": "", "epochs": 0, "seeds": 5, "more": MNIST}
QUICK = {"seeds": 2, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "fully_connected_sgd_mean": (None, 6.0),
    "convolutional_sgd_mean": (None, 14.0),
    "allcnn_sgd_mean": (None, 10.0),
    "fully_connected_heat_low": (0.0, None),
    "convolutional_heat_low": (0.0, None),
    "allcnn_heat_low": (0.0, None),
    "allcnn_heat_train_error": (10.0, None),  # unfinished, as the title says
    "fully_connected_hj_difference": (-1.0, 1.0),
    "convolutional_hj_low": (None, 0.0),
    "allcnn_hj_difference": (-2.0, 2.0),
    "MNIST_sgd_mean": (None, 10.0),
    "MNIST_heat_low": (0.0, None),
    "MNIST_entropy_sgd_difference": (-1.5, 1.5),
    "MNIST_hj_difference": (-1.5, 1.5),
}
QUICK_CHECKS = {
    "fully_connected_sgd_mean": (None, 6.0),
    "convolutional_sgd_mean": (None, 14.0),
    "allcnn_sgd_mean": (None, 10.0),
    "fully_connected_heat_difference": (0.0, None),
    "convolutional_heat_difference": (0.0, None),
    "allcnn_heat_difference": (0.0, None),
    "fully_connected_hj_difference": (-1.0, 1.0),
    "allcnn_hj_difference": (-3.0, 3.0),
}
CONTESTANTS = ("sgd", "hj", "heat", "entropy-sgd")


def compute(data, cifar, folder, epochs, seeds, more):
    """The race on three networks; `more` is a further data set, for a fully-connected one."""
    problems = network_figure_4_2.panels(CONTESTANTS, data, folder, epochs=epochs)
    problems |= network_allcnn.panels(CONTESTANTS, cifar, folder, epochs=epochs)
    problems |= images_row("digits-mlp", "mnistfc", CONTESTANTS, more, folder, epochs=epochs)
    return race(problems, seeds=seeds, margin=MARGIN)


def draw(data):
    """The table."""
    return draw_table(data)
