"""Figure 4.3 and the last row of Table 4.1 of Chaudhari's thesis at the scale of the digits.

An all-convolutional network without data augmentation. The settings are those tuned for the convolutional network of
Figure 4.2, not tuned again, so differences of a few tenths of a per cent mean nothing here. What reproduces: HEAT is
worse, here by far: it takes one step where SGD takes twenty, and at this budget these are too few. What does not: HJ
and Entropy-SGD are not clearly faster than SGD (numbers *_reached).
The printed settings on the thesis's data: --set data=cifar10 folder=... (allcnn, 200 epochs).
"""

from pdelab.figures.races import BUILT_IN, contestants, draw_panels, race

NAME = "4.3"
TITLE = "An all-convolutional network: heat smoothing is worse than SGD, Entropy-SGD and HJ"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "", "epochs": 0, "seeds": 5}
QUICK = {"epochs": 20, "seeds": 2}
CHECKS = {"allcnn_heat_difference": (0.0, None), "allcnn_sgd_mean": (None, 30.0)}


def compute(data, folder, model, epochs, seeds):
    """Curves and paired differences to SGD."""
    return race(panels(("sgd", "entropy-sgd", "hj", "heat"), data, folder, model, epochs), seeds=seeds)


def panels(names, data, folder, model="", epochs=0):
    """One all-convolutional network."""
    if data in BUILT_IN:
        model, epochs = model or "small-allcnn", epochs or 60
    common = {"data": data, "folder": folder, "model": model, "epochs": epochs}
    return {"allcnn": contestants("digits-lenet", "allcnn", names, **common)}


def draw(data):
    """Validation error, training loss and paired differences."""
    return draw_panels(data, TITLE, losses=True)
