"""Figure 5.3 and the first row of Table 5.1 of Chaudhari's thesis at the scale of the built-in digits.

Parle and Elastic-SGD with three replicas in one process, Entropy-SGD and SGD; the abscissa counts the gradients of
one replica, as in the thesis (replicas run side by side; together they spend three times as many). What
reproduces: on the convolutional network, and on 3,500 images of MNIST (the last row), Elastic-SGD is better than SGD:
the intervals exclude 0. What does not at this scale: Parle against SGD is undecided in every row (numbers *_parle_low
and _high).
The printed settings on the thesis's data: --set data=mnist folder=... (lenet, 100 epochs; the fully-connected panel
is ours).
"""

from pdelab.figures.races import MNIST, contestants, draw_panels, images_row, race

NAME = "5.3"
TITLE = "Three replicas: Elastic-SGD is better than SGD on two of three networks, Parle is undecided on all"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "", "lenet": "", "epochs": 0, "seeds": 6,
              "more": MNIST}  # fmt: skip
QUICK = {"seeds": 3, "epochs": 40, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "fully_connected_sgd_mean": (None, 6.0),
    "convolutional_sgd_mean": (None, 12.0),
    "convolutional_elastic_sgd_high": (None, 0.0),
    "convolutional_parle_low": (None, 0.0),
    "convolutional_parle_high": (0.0, None),
    "fully_connected_elastic_sgd_difference": (-1.5, 1.5),
    "fully_connected_parle_difference": (-1.5, 1.5),
    "MNIST_sgd_mean": (None, 10.0),
    "MNIST_entropy_sgd_difference": (-1.5, 1.5),
    "MNIST_elastic_sgd_difference": (-1.5, 1.5),
    "MNIST_parle_difference": (-2.0, 2.0),
}
QUICK_CHECKS = {
    "fully_connected_sgd_mean": (None, 6.0),
    "convolutional_sgd_mean": (None, 15.0),
    "convolutional_parle_difference": (-3.0, 3.0),
    "convolutional_elastic_sgd_difference": (-4.0, 0.5),
    "fully_connected_elastic_sgd_difference": (-1.5, 1.5),
}
CONTESTANTS = ("sgd", "entropy-sgd", "elastic-sgd", "parle")


def compute(data, folder, mlp, lenet, epochs, seeds, more):
    """Curves and paired differences to SGD; `more` is a further data set."""
    problems = panels(data, folder, mlp, lenet, epochs)
    return race(problems | images(more, folder, epochs), seeds=seeds, margin=MARGIN)


def images(more, folder, epochs=0):
    """The row of MNIST's images: a fully-connected network."""
    return images_row("digits-mlp", "lenet, replicas", CONTESTANTS, more, folder, epochs=epochs)


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
    return draw_panels(data)
