"""Figure 4.2 and two rows of Table 4.1 of Chaudhari's thesis at the scale of the built-in digits.

SGD, Entropy-SGD, HJ and HEAT, each tuned on its own seeds, with the same number of mini-batch gradients; Lookahead as
control (averaging the weights along the way, SWA, is none here: SGD stands still once every image is learned, and the
average with it). What reproduces: HEAT is worse in every row; Entropy-SGD and HJ are worse in none and better on the
convolutional network, but so is Lookahead, whose slow weights have no equation behind them. What does not: a clear gain
in speed (numbers *_reached), beyond what Lookahead has too. The last row has mnistfc, of 256 units a layer, on 3,500
images of MNIST (500 to validate, 1,000 to test).
The printed settings on the thesis's data: --set data=mnist folder=... (mnistfc and lenet, 100 epochs).
"""

from pdelab.figures.races import MNIST, contestants, draw_panels, images_row, merged, race

NAME = "4.2"
TITLE = "Heat smoothing is worse than SGD in every row; Entropy-SGD, HJ and Lookahead are better in one"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "", "lenet": "", "epochs": 0, "seeds": 10,
              "more": MNIST, "more_seeds": 6}  # fmt: skip
QUICK = {"seeds": 3, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "fully_connected_sgd_mean": (None, 6.0),
    "convolutional_sgd_mean": (None, 14.0),
    "fully_connected_heat_low": (0.0, None),
    "convolutional_heat_low": (0.0, None),
    "fully_connected_entropy_sgd_low": (None, 0.0),
    "fully_connected_hj_low": (None, 0.0),
    "convolutional_entropy_sgd_low": (None, 0.0),
    "convolutional_hj_low": (None, 0.0),
    "convolutional_lookahead_low": (None, 0.0),
    "MNIST_sgd_mean": (None, 10.0),
    "MNIST_heat_low": (0.0, None),
    "MNIST_entropy_sgd_difference": (-1.5, 1.5),
    "MNIST_hj_difference": (-1.5, 1.5),
    "MNIST_lookahead_difference": (-1.5, 1.5),
}
QUICK_CHECKS = {
    "fully_connected_sgd_mean": (None, 6.0),
    "convolutional_sgd_mean": (None, 14.0),
    "fully_connected_heat_difference": (0.2, None),
    "convolutional_heat_difference": (0.5, None),
    "fully_connected_entropy_sgd_difference": (-0.8, 0.8),
    "fully_connected_hj_difference": (-0.8, 0.8),
    "convolutional_hj_difference": (-2.0, 2.0),
    "convolutional_lookahead_difference": (-2.0, 0.5),
}
CONTESTANTS = ("sgd", "entropy-sgd", "hj", "heat", "lookahead")


def compute(data, folder, mlp, lenet, epochs, seeds, more, more_seeds):
    """Curves and paired differences of the five algorithms on two networks; `more` is a further data set."""
    problems = panels(CONTESTANTS, data, folder, mlp, lenet, epochs)
    images = images_row("digits-mlp", "mnistfc", CONTESTANTS, more, folder, epochs=epochs)
    return merged(race(problems, seeds=seeds, margin=MARGIN), race(images, seeds=more_seeds, margin=MARGIN))


def panels(names, data, folder, mlp="", lenet="", epochs=0):
    """A fully-connected and a convolutional network."""
    common = {"data": data, "folder": folder, "epochs": epochs}
    return {
        "fully connected": contestants("digits-mlp", "mnistfc", names, model=mlp, **common),
        "convolutional": contestants("digits-lenet", "lenet", names, model=lenet, **common),
    }


def draw(data):
    """Curves beside paired differences, one row a network."""
    return draw_panels(data)
