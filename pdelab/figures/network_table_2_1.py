"""Table 2.1 of Chaudhari's thesis at the scale of the digits: does the field lower the error?

An all-convolutional network under SGD, in a fixed random field and in one drawn anew at each step. The thesis finds
that both help and the fixed one more. That does not reproduce at this scale: the seeds decide no difference (numbers
*_low and *_high of this run), nor on 3,500 images of MNIST with a fully-connected network.
The printed settings on the thesis's data: --set data=cifar10 folder=... (All-CNN-BN, 200 epochs).
"""

from pdelab.figures.network_alignment import panel
from pdelab.figures.network_field import in_fields
from pdelab.figures.races import MNIST, images_row, race
from pdelab.figures.tables import draw_table

NAME = "table-2.1"
TITLE = "Table 2.1: in a random field SGD is undecided, neither better nor worse"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "", "epochs": 0, "seeds": 6, "more": MNIST}
QUICK = {"epochs": 25, "seeds": 3, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "allcnn_sgd_mean": (None, 10.0),
    "allcnn_fixed_field_difference": (-2.0, 2.0),
    "allcnn_resampled_field_difference": (-2.0, 2.0),
    "MNIST_sgd_mean": (None, 10.0),
    "MNIST_fixed_field_difference": (-1.5, 1.5),
    "MNIST_resampled_field_difference": (-1.5, 1.5),
}
QUICK_CHECKS = {
    "allcnn_sgd_mean": (None, 15.0),
    "allcnn_fixed_field_difference": (-2.5, 2.5),
    "allcnn_resampled_field_difference": (-2.5, 2.5),
}


def compute(data, folder, model, epochs, seeds, more):
    """The race of three; `more` is a further data set, for a fully-connected network."""
    problems = {"allcnn": panel(data, folder, model, epochs)}
    images = images_row("digits-mlp", "mnistfc", ("sgd",), more, folder)
    problems |= {title: in_fields(runs, "trivialized-sgd") for title, runs in images.items()}
    return race(problems, seeds=seeds, margin=MARGIN)


def draw(data):
    """The table."""
    return draw_table(data)
