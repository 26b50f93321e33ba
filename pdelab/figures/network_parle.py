"""Figures 5.3 and 5.6 and the first row of Table 5.1 of Chaudhari's thesis at the scale of the built-in digits.

Parle and Elastic-SGD with three replicas in one process, Entropy-SGD and SGD; the abscissa counts the gradients of
one replica, as in the thesis (replicas run side by side). What does not reproduce at this scale: Parle is not better
than SGD beyond the scatter of the seeds, and it does not underfit (Figure 5.6): its training loss ends below that of
SGD (numbers *_underfitting, the ratio of the two). What does: all four reach comparable errors.
Figures 5.4 and 5.5 are this figure with --set model=wrn-28-10 data=cifar10 (cifar100), model=wrn-16-4 data=svhn.
"""

from pdelab.figures.network_pde import contestants
from pdelab.figures.races import draw_panels, race, slug

NAME = "5.3"
TITLE = "Replicas tied to a master, against one network with the same gradients each"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "mlp": "mlp", "model": "digits-lenet", "epochs": 0, "seeds": 6}
QUICK = {"seeds": 3, "epochs": 40}
CHECKS = {
    "convolutional_parle_difference": (-3.0, 3.0),
    "convolutional_parle_mean": (None, 15.0),
    "fully_connected_elastic_sgd_difference": (-1.5, 1.5),
}


def compute(data, folder, mlp, model, epochs, seeds):
    """Curves and paired differences to SGD."""
    names = ("sgd", "entropy-sgd", "elastic-sgd", "parle")
    panels = {
        "fully connected": contestants("digits-mlp", mlp, data, folder, epochs, names),
        "convolutional": contestants("digits-lenet", model, data, folder, epochs, names),
    }
    found = race(panels, seeds=seeds)
    for panel in panels:
        key = slug(panel)
        found[f"{key}_underfitting"] = found[f"{key}_parle_train_loss"] / found[f"{key}_sgd_train_loss"]
    return found


def draw(data):
    """Curves beside paired differences, one row a network."""
    return draw_panels(data, TITLE)
