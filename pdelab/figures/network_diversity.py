"""Figure 6.2 of Chaudhari's thesis on the digits: does the gradient noise grow with the variety of the data?

Two, five and ten classes in place of CIFAR-10 and CIFAR-100, and ten classes with random crops and mirror flips. What
reproduces: more classes and augmented images give larger eigenvalues. But they leave a larger training loss, too
(numbers *_losses), and gradients of images that are learned vanish: variety and loss are confounded here. With
augmented images, which are never learned by heart, the spectrum does not fall during training, as the thesis says of
all its networks. What does not reproduce: without augmentation it falls many times (numbers *_trace_ratio, end over
20 %). On another data set: --set data=cifar10 folder=...
"""

import numpy as np

from pdelab.figures.network_noise import TIMES, draw_spectra, measure, summary

NAME = "6.2"
TITLE = "More classes and augmented images: larger gradient noise, and a larger training loss with it"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "epochs": 60, "samples": 500}
QUICK = {"epochs": 15, "samples": 250}
CHECKS = {
    "ten_over_two_classes": (1.0, None),
    "augmented_over_plain": (1.0, None),
    "augmented_trace_ratio": (0.3, None),
    "ten_trace_ratio": (None, 0.2),
    # what the classes are confounded with: images that are not learned yet
    "ten_over_two_losses": (1.0, None),
    "augmented_over_plain_losses": (1.0, None),
}
CASES = {
    "two": ("two classes", {"classes": 2}),
    "five": ("five classes", {"classes": 5}),
    "ten": ("ten classes", {}),
    "augmented": ("ten classes, augmented", {"augment": True}),
}


def compute(data, folder, epochs, samples):
    """Eigenvalues of D at three times for each variety of the data."""
    numbers = {"times": np.array(TIMES)}
    for name, (_, options) in CASES.items():
        model, sizes = "digits-lenet", {"channels": (4, 8), "hidden": 16}
        if data != "digits":
            model, sizes = "small-allcnn", {}
        numbers |= summary(name, *measure(data, folder, model, sizes, epochs, samples, options))
    numbers["ten_over_two_classes"] = numbers["ten_mean_end"] / numbers["two_mean_end"]
    numbers["augmented_over_plain"] = numbers["augmented_mean_end"] / numbers["ten_mean_end"]
    numbers["ten_over_two_losses"] = numbers["ten_loss_end"] / numbers["two_loss_end"]
    numbers["augmented_over_plain_losses"] = numbers["augmented_loss_end"] / numbers["ten_loss_end"]
    return numbers


def draw(data):
    """Eigenvalues by rank at three times, one panel a variety."""
    from pdelab.plotting import subplots

    figure, axes = subplots(2, 2, size=(8.0, 6.4), sharey=True)
    for ax, (name, (title, _)) in zip(axes.flat, CASES.items()):
        said = f"{title}, training loss {data[f'{name}_loss_end']:.2g}"
        draw_spectra(ax, data, name, said, named=ax is axes[0, 0])
    for ax in axes[:, 0]:
        ax.set_ylabel("eigenvalue of D(x)")
    return figure
