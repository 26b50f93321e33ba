"""Figure 5.6 of Chaudhari's thesis at the scale of the digits: does Parle underfit?

The runs of Figures 5.4 and 5.5 again, now their training loss (as the mini-batches came, dropout on) and their training
error at the end. The thesis sees Entropy-SGD and Parle end with a much larger training error than SGD, whose own is
almost zero. On the digits that does not reproduce: every algorithm fits the training images, and at the end the
training loss of Parle is below that of SGD on all three problems (their ratios, numbers *_underfitting). On 3,500
images of MNIST, with dropout, it does: Entropy-SGD and Parle end above SGD (intervals *_excess_low and _high).
The printed settings on the thesis's data: --set data=cifar10 other=cifar100 third=svhn folder=...
"""

from pdelab.figures import network_parle, network_parle_cifar, network_parle_svhn
from pdelab.figures.races import MNIST, color, draw_curves, merged, race, slug

NAME = "5.6"
TITLE = "Does Parle underfit? Not on the digits, which all four fit; on MNIST it ends above SGD's training loss"
NEEDS = "networks"
PARAMETERS = {
    "data": "digits", "other": "digits", "third": "digits", "folder": "", "model": "", "epochs": 0, "third_epochs": 0,
    "seeds": 3, "more": MNIST, "more_seeds": 6,
}  # fmt: skip
QUICK = {"epochs": 40, "third_epochs": 10, "seeds": 2, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "residual_network_sgd_mean": (None, 8.0),
    "fewer_images_a_class_sgd_mean": (None, 20.0),
    "all_images_sgd_mean": (None, 4.0),
    "residual_network_parle_train_error": (None, 1.0),
    "fewer_images_a_class_parle_train_error": (None, 1.0),
    "all_images_parle_train_error": (None, 2.0),
    "residual_network_sgd_train_error": (None, 1.0),
    "all_images_sgd_train_error": (None, 2.0),
}
QUICK_CHECKS = CHECKS | {"all_images_sgd_mean": (None, 6.0)}  # fewer epochs
_PANELS = ("residual_network", "fewer_images_a_class", "all_images")
_NAMES = ("sgd", "entropy_sgd", "elastic_sgd", "parle")
CHECKS |= {f"{panel}_{name}_train_error": (None, 1.0) for panel in _PANELS for name in _NAMES}
CHECKS |= {f"{panel}_underfitting": (None, 1.0) for panel in _PANELS}
CHECKS |= {f"MNIST_{name}_train_error": (None, 5.0) for name in _NAMES}
CHECKS |= {"MNIST_sgd_mean": (None, 10.0), "MNIST_underfitting": (0.5, 5.0)}


def compute(data, other, third, folder, model, epochs, third_epochs, seeds, more, more_seeds):
    """Training losses and errors of the problems; Parle's training loss over that of SGD, and what remains above it.

    *_excess_low, _high: paired intervals of the training loss of the last epoch minus that of SGD.
    """
    from pdelab.networks.training import paired

    problems = network_parle_cifar.panels(data, other, folder, model, epochs)
    problems |= network_parle_svhn.panels(third, folder, model, third_epochs)
    numbers = race(problems, seeds=seeds, margin=MARGIN)
    numbers = merged(numbers, race(network_parle.images(more, folder), seeds=more_seeds, margin=MARGIN))
    for key in map(slug, map(str, numbers["panels"])):
        numbers[f"{key}_underfitting"] = numbers[f"{key}_parle_train_loss"] / numbers[f"{key}_sgd_train_loss"]
        for name in ("entropy_sgd", "parle"):
            excess = paired(numbers[f"{key}_{name}_losses"][:, -1] - numbers[f"{key}_sgd_losses"][:, -1])
            numbers |= {f"{key}_{name}_excess_{end}": excess[end] for end in ("low", "high")}
    return numbers


def draw(data):
    """Above the training loss over the gradients, below the training and test errors at the end."""
    from pdelab.plotting import subplots

    panels = [str(panel) for panel in data["panels"]]
    figure, axes = subplots(2, len(panels), size=(8.0, 6.0), gridspec_kw={"height_ratios": [1.4, 1]}, sharey="row")
    for (above, below), panel in zip(axes.T, panels):
        draw_curves(above, data, panel, "", "losses", named=False)
        above.tick_params(which="both", labelleft=above is axes[0, 0])
        names = [str(name) for name in data[f"{slug(panel)}_names"]][::-1]
        for place, name in enumerate(names):
            key = f"{slug(panel)}_{slug(name)}"
            below.plot(data[f"{key}_train_error"], place, "o", color=color(name))
            below.plot(data[f"{key}_mean"], place, "o", color=color(name), mfc="none")
        below.set_yticks(range(len(names)), names)
        below.set(xlabel="error at the end (%)", ylim=(-0.6, len(names) - 0.4))
        below.margins(x=0.12)
    axes[0, 0].set_ylabel("training loss (nats)")
    axes[0, -1].legend(loc="lower left")  # the curves of its panel end far above
    axes[1, 0].set_title("full: training images, hollow: test images")
    return figure
