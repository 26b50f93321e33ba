"""Figure 3.6 and a row of Table 3.1 of Chaudhari's thesis at the scale of the digits.

Entropy-SGD against SGD on an all-convolutional network: validation error and training loss in effective epochs. The
settings are those tuned for the convolutional network of Figure 3.5, not tuned again. What reproduces: errors within
the scatter of the seeds. What does not: Entropy-SGD is not clearly faster (numbers *_reached).
The printed settings on the thesis's data: --set data=cifar10 folder=... (allcnn, 200 epochs).
"""

from pdelab.figures.network_allcnn import panels
from pdelab.figures.races import draw_panels, race

NAME = "3.6"
TITLE = "On an all-convolutional network Entropy-SGD needs as many gradients as SGD"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "", "epochs": 0, "seeds": 5}
QUICK = {"epochs": 40, "seeds": 3}
CHECKS = {
    "allcnn_sgd_mean": (None, 15.0),
    "allcnn_entropy_sgd_difference": (-3.0, 3.0),
    "allcnn_reached_ratio": (0.5, None),
}


def compute(data, folder, model, epochs, seeds):
    """Curves and the paired difference to SGD."""
    found = race(panels(("sgd", "entropy-sgd"), data, folder, model, epochs), seeds=seeds)
    return found | {"allcnn_reached_ratio": found["allcnn_entropy_sgd_reached"] / found["allcnn_sgd_reached"]}


def draw(data):
    """Validation error, training loss and the paired difference."""
    return draw_panels(data, TITLE, losses=True)
