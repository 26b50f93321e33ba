"""Figure 5.5 and the last row of Table 5.1 of Chaudhari's thesis at the scale of the digits: plenty of data.

A deeper residual network with all training images, as SVHN has the most images of the thesis's data sets. The settings
are those tuned for Figure 5.4, not tuned again. On all digits the seeds decide no difference (numbers *_low and
*_high); on 3,500 images of MNIST, with a fully-connected network, Elastic-SGD is ahead, as in the thesis.
The printed settings on the thesis's data: --set data=svhn folder=... (WRN-16-4, 160 epochs).
"""

from pdelab.figures.network_parle import CONTESTANTS, images
from pdelab.figures.races import BUILT_IN, MNIST, contestants, draw_panels, merged, race

NAME = "5.5"
TITLE = "With all the digits no difference to SGD is decided; on MNIST Elastic-SGD is better"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "", "epochs": 0, "seeds": 3, "more": MNIST, "more_seeds": 6}
QUICK = {"epochs": 10, "seeds": 2, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "all_images_sgd_mean": (None, 4.0),
    "all_images_entropy_sgd_difference": (-2.0, 2.0),
    "all_images_elastic_sgd_difference": (-2.0, 2.0),
    "all_images_parle_difference": (-2.0, 2.0),
    "MNIST_sgd_mean": (None, 10.0),
    "MNIST_entropy_sgd_difference": (-2.0, 2.0),
    "MNIST_elastic_sgd_difference": (-2.0, 2.0),
    "MNIST_parle_difference": (-2.0, 2.0),
}
QUICK_CHECKS = CHECKS | {"all_images_sgd_mean": (None, 6.0)}  # fewer epochs


def compute(data, folder, model, epochs, seeds, more, more_seeds):
    """Curves and paired differences to SGD; `more` is a further data set."""
    numbers = race(panels(data, folder, model, epochs), seeds=seeds, margin=MARGIN)
    return merged(numbers, race(images(more, folder), seeds=more_seeds, margin=MARGIN))


def panels(data, folder, model="", epochs=0):
    """One deeper residual network, the whole training set."""
    common = {"data": data, "folder": folder, "model": model, "epochs": epochs or (25 if data in BUILT_IN else 0)}
    deeper = {"model_options": {"depth": 16, "widen": 1, "dropout": 0.4}, "data_options": {}}
    return {"all images": contestants("digits-wrn", "wrn-16-4", CONTESTANTS, **common, **deeper)}


def draw(data):
    """Curves beside paired differences."""
    return draw_panels(data)
