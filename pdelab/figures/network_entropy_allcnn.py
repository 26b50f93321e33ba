"""Figure 3.6 and a row of Table 3.1 of Chaudhari's thesis at the scale of the digits.

Entropy-SGD against SGD on an all-convolutional network: validation error and training loss in effective epochs. The
settings are those tuned for the convolutional network of Figure 3.5, not tuned again. What reproduces: no difference
that the seeds decide. What does not: Entropy-SGD is not clearly faster (numbers *_reached).
The printed settings on the thesis's data: --set data=cifar10 folder=... (allcnn, 200 epochs).
"""

from pdelab.figures.network_allcnn import panels
from pdelab.figures.races import draw_panels, race, reached_ratios

NAME = "3.6"
TITLE = "On an all-convolutional network Entropy-SGD against SGD is undecided, and not clearly faster"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "", "epochs": 0, "seeds": 5}
QUICK = {"epochs": 40, "seeds": 3}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "allcnn_sgd_mean": (None, 10.0),
    "allcnn_entropy_sgd_difference": (-2.0, 2.0),
    "allcnn_reached_ratio": (0.5, None),
}
QUICK_CHECKS = CHECKS | {"allcnn_sgd_mean": (None, 15.0), "allcnn_entropy_sgd_difference": (-3.0, 3.0)}


def compute(data, folder, model, epochs, seeds):
    """Curves and the paired difference to SGD."""
    numbers = race(panels(("sgd", "entropy-sgd"), data, folder, model, epochs), seeds=seeds, margin=MARGIN)
    return numbers | reached_ratios(numbers, "entropy-sgd")


def draw(data):
    """Validation error, training loss and the paired difference."""
    return draw_panels(data, losses=True)
