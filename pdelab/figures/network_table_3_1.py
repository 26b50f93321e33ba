"""Table 3.1 of Chaudhari's thesis on the built-in data: Entropy-SGD against SGD and Adam on six problems.

The runs of Figures 3.5, 3.6 and 3.7: test errors of three networks on the digits and of one on 3,500 images of MNIST,
test perplexities of two on Python's help topics. What reproduces: no difference that the seeds decide on images, lower
losses on texts. What does not: clearly fewer effective epochs (after the @).
The printed settings on the thesis's data: --set images=mnist cifar=cifar10 words=ptb letters=text file=... folder=...
"""

from pdelab.figures import network_allcnn, network_figure_4_2, network_text
from pdelab.figures.races import MNIST, images_row, merged, race
from pdelab.figures.tables import draw_table

NAME = "table-3.1"
TITLE = "Table 3.1: Entropy-SGD against SGD and Adam, undecided on images and better on words and letters"
NEEDS = "networks"
PARAMETERS = {
    "images": "digits", "cifar": "digits", "words": "topics", "letters": "topics", "folder": "", "file": "",
    "epochs": 0, "text_epochs": 0, "seeds": 5, "more": MNIST,
}  # fmt: skip
QUICK = {"epochs": 40, "text_epochs": 4, "seeds": 2, "more": ""}
MARGIN = 0.2  # per cent, declared before any run
TEXT_MARGIN = network_text.MARGIN  # nats a token
CHECKS = {
    "fully_connected_adam_mean": (None, 6.0),
    "convolutional_adam_mean": (None, 12.0),
    "allcnn_sgd_mean": (None, 10.0),
    "words_sgd_mean": (None, 4.5),
    "letters_adam_mean": (None, 3.2),
    "fully_connected_entropy_sgd_difference": (-1.5, 1.5),
    "convolutional_entropy_sgd_difference": (-3.0, 3.0),
    "allcnn_entropy_sgd_difference": (-3.0, 3.0),
    "words_entropy_sgd_high": (None, 0.0),
    "letters_entropy_adam_high": (None, 0.0),
    "MNIST_adam_mean": (None, 10.0),
    "MNIST_sgd_difference": (-1.5, 1.5),
    "MNIST_entropy_sgd_difference": (-1.5, 1.5),
}
QUICK_CHECKS = {name: band for name, band in CHECKS.items() if not name.endswith("high")} | {
    "allcnn_sgd_mean": (None, 15.0),
    "words_sgd_mean": (None, 5.0),
    "letters_adam_mean": (None, 3.6),
    "words_entropy_sgd_difference": (-0.5, 0.5),
    "letters_entropy_adam_difference": (-0.5, 0.5),
}


def compute(images, cifar, words, letters, folder, file, epochs, text_epochs, seeds, more):
    """Races on images by error and on texts by loss; `more` is a further data set of images."""
    names = ("adam", "sgd", "entropy-sgd")
    problems = network_figure_4_2.panels(names, images, folder, epochs=epochs)
    problems |= images_row("digits-mlp", "mnistfc", names, more, folder, epochs=epochs)
    problems |= network_allcnn.panels(("sgd", "entropy-sgd"), cifar, folder, epochs=epochs)
    texts = network_text.panels(words, letters, folder, file, text_epochs)
    return merged(
        race(problems, seeds=seeds, margin=MARGIN), race(texts, seeds=seeds, metric="loss", margin=TEXT_MARGIN)
    )


def draw(data):
    """The table."""
    return draw_table(data, "test error (%), of texts perplexity, ± deviation of the seeds @ effective epochs")
