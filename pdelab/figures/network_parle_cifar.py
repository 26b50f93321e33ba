"""Figure 5.4 and two rows of Table 5.1 of Chaudhari's thesis at the scale of the digits: Parle on residual networks.

A thin wide-residual network with 30 images a class, and with ten a class: CIFAR-100 differs from CIFAR-10 by having
fewer images of each class, and the digits have only ten classes. The settings are tuned on the first panel and used on
both. What reproduces: with many images a class Elastic-SGD is better than SGD (its interval excludes 0), and the panel
with fewer images a class has the higher errors. What does not at this scale: Parle against SGD is undecided.
The printed settings on the thesis's data: --set data=cifar10 other=cifar100 folder=... (WRN-28-10, 200 epochs).
"""

from pdelab.figures.network_parle import CONTESTANTS
from pdelab.figures.races import BUILT_IN, contestants, draw_panels, race

NAME = "5.4"
TITLE = "Residual networks: with many images a class Elastic-SGD is better than SGD; Parle is undecided"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "other": "digits", "folder": "", "model": "", "epochs": 0, "seeds": 5}
QUICK = {"epochs": 30, "seeds": 2}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "residual_network_sgd_mean": (None, 8.0),
    "fewer_images_a_class_sgd_mean": (None, 20.0),
    "residual_network_elastic_sgd_high": (None, 0.0),
    "residual_network_parle_difference": (-2.0, 2.0),
    "fewer_images_a_class_parle_difference": (-3.0, 3.0),
    "fewer_over_many": (1.0, None),
}
QUICK_CHECKS = {
    "residual_network_sgd_mean": (None, 15.0),
    "fewer_images_a_class_sgd_mean": (None, 30.0),
    "residual_network_parle_difference": (-3.0, 3.0),
    "fewer_images_a_class_parle_difference": (-5.0, 5.0),
    "fewer_over_many": (1.0, None),
}


def compute(data, other, folder, model, epochs, seeds):
    """Curves and paired differences to SGD."""
    numbers = race(panels(data, other, folder, model, epochs), seeds=seeds, margin=MARGIN)
    ratio = numbers["fewer_images_a_class_sgd_mean"] / numbers["residual_network_sgd_mean"]
    return numbers | {"fewer_over_many": ratio}


def panels(data, other, folder, model="", epochs=0):
    """Many images of each class, and fewer."""
    common = {"folder": folder, "model": model, "epochs": epochs}
    fewer = {"data_options": {"train": 100}, "batch_size": 25} if other in BUILT_IN else {}
    return {
        "residual network": contestants("digits-wrn", "wrn-28-10", CONTESTANTS, data=data, **common),
        "fewer images a class": contestants("digits-wrn", "wrn-28-10", CONTESTANTS, data=other, **common, **fewer),
    }


def draw(data):
    """Curves beside paired differences, one row a data set."""
    return draw_panels(data)
