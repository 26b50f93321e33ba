"""Figures 3.6 and 4.3, the allcnn rows of Tables 3.1 and 4.1 of Chaudhari's thesis, at the scale of the digits.

An all-convolutional network without data augmentation. The settings are those tuned for the convolutional network of
Figure 4.2, not tuned again, so differences of a few tenths of a per cent mean nothing here. HEAT is far worse: it takes
one step where SGD takes twenty, and at this budget these are too few (16 with `--quick`, 48 without).
On CIFAR-10: --set data=cifar10 folder=... model=allcnn epochs=160.
"""

from pdelab.figures.network_pde import contestants
from pdelab.figures.races import draw_panels, race

NAME = "4.3"
TITLE = "An all-convolutional network: heat smoothing is worse than SGD, Entropy-SGD and HJ"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "small-allcnn", "epochs": 60, "seeds": 5}
QUICK = {"epochs": 20, "seeds": 2}
CHECKS = {"allcnn_heat_difference": (0.0, None), "allcnn_sgd_mean": (None, 30.0)}


def compute(data, folder, model, epochs, seeds):
    """Curves and paired differences to SGD."""
    names = ("sgd", "entropy-sgd", "hj", "heat")
    return race({"allcnn": contestants("digits-lenet", model, data, folder, epochs, names)}, seeds=seeds)


def draw(data):
    """Curves beside paired differences."""
    return draw_panels(data, TITLE)
