"""Table 3.1 of Chaudhari's thesis on the built-in data: Entropy-SGD against SGD and Adam on five problems.

The runs of Figures 3.5, 3.6 and 3.7: test errors of three networks on the digits, test perplexities of two on Python's
help topics. What reproduces: errors of Entropy-SGD within the scatter of the seeds of those of SGD and Adam. What does
not: clearly fewer effective epochs (after the @).
The printed settings on the thesis's data: --set images=mnist cifar=cifar10 words=ptb letters=text file=... folder=...
"""

from pdelab.figures import network_allcnn, network_pde, network_text
from pdelab.figures.races import merged, race
from pdelab.figures.tables import draw_table

NAME = "table-3.1"
TITLE = "Table 3.1: Entropy-SGD against SGD and Adam on images, words and letters"
NEEDS = "networks"
PARAMETERS = {
    "images": "digits", "cifar": "digits", "words": "topics", "letters": "topics", "folder": "", "file": "",
    "epochs": 0, "text_epochs": 0, "seeds": 5,
}  # fmt: skip
QUICK = {"epochs": 40, "text_epochs": 4, "seeds": 2}
CHECKS = {
    "fully_connected_entropy_sgd_difference": (-1.5, 1.5),
    "convolutional_entropy_sgd_difference": (-3.0, 3.0),
    "allcnn_entropy_sgd_difference": (-3.0, 3.0),
    "words_entropy_sgd_difference": (-0.5, 0.5),
    "letters_entropy_adam_difference": (-0.5, 0.5),
}


def compute(images, cifar, words, letters, folder, file, epochs, text_epochs, seeds):
    """Races on images by error and on texts by loss."""
    problems = network_pde.panels(("adam", "sgd", "entropy-sgd"), images, folder, epochs=epochs)
    problems |= network_allcnn.panels(("sgd", "entropy-sgd"), cifar, folder, epochs=epochs)
    texts = network_text.panels(words, letters, folder, file, text_epochs)
    return merged(race(problems, seeds=seeds), race(texts, seeds=seeds, metric="loss"))


def draw(data):
    """The table."""
    return draw_table(data, TITLE, "test error (%), of texts perplexity, ± deviation of the seeds @ effective epochs")
