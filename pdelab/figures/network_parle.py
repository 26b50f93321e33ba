"""Figure 5.3 and the first row of Table 5.1 of Chaudhari's thesis at the scale of the built-in digits.

Parle and Elastic-SGD with three replicas in one process, Entropy-SGD and SGD; the abscissa counts the gradients of
one replica, as in the thesis (replicas run side by side; together they spend three times as many). What does not
reproduce at this scale: Parle is not better than SGD beyond the scatter of the seeds (numbers *_parle_low and _high).
What does: all four reach comparable errors; on the convolutional network Elastic-SGD has the lowest mean.
The printed settings on the thesis's data: --set data=mnist folder=... (lenet, 100 epochs; the fully-connected panel
is ours).
"""

from pdelab.figures.races import contestants, draw_panels, race

NAME = "5.3"
TITLE = "Three replicas tied to a master: Parle does not beat SGD with the same gradients each"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "", "lenet": "", "epochs": 0, "seeds": 6}
QUICK = {"seeds": 3, "epochs": 40}
CHECKS = {
    "convolutional_parle_difference": (-3.0, 3.0),
    "convolutional_parle_mean": (None, 15.0),
    "convolutional_parle_high": (0.0, None),
    "convolutional_elastic_sgd_difference": (-4.0, 0.5),
    "fully_connected_elastic_sgd_difference": (-1.5, 1.5),
}
CONTESTANTS = ("sgd", "entropy-sgd", "elastic-sgd", "parle")


def compute(data, folder, mlp, lenet, epochs, seeds):
    """Curves and paired differences to SGD."""
    return race(panels(data, folder, mlp, lenet, epochs), seeds=seeds)


def panels(data, folder, mlp="", lenet="", epochs=0):
    """A fully-connected and a convolutional network."""
    common = {"data": data, "folder": folder, "epochs": epochs}
    networks = {"fully connected": ("digits-mlp", mlp or ("" if data == "digits" else "mnistfc"))}
    networks["convolutional"] = ("digits-lenet", lenet)
    return {
        title: contestants(family, "lenet, replicas", CONTESTANTS, model=model, **common)
        for title, (family, model) in networks.items()
    }


def draw(data):
    """Curves beside paired differences, one row a network."""
    return draw_panels(data, TITLE)
