"""Figure 3.7 and the last rows of Table 3.1 of Chaudhari's thesis on the text of Python's help topics.

Words with an LSTM under SGD without momentum against Entropy-SGD (Penn Tree Bank in the thesis), letters with an LSTM
under Adam against Entropy-Adam (War and Peace in the thesis); L = 5. Left perplexities of the validation part, right
differences of the test loss in nats a token. What reproduces: the local-entropy gradient ends lower on both, in this
run's intervals (numbers *_low and *_high). SGD with momentum on the letters is the control that Table 3.1 lacks,
for it is the inner loop of Entropy-Adam: how close it comes alone is the number letters_sgd_over_entropy_adam, a ratio
of validation perplexities. The last tenth of this text, the test part, is of another kind than the rest.
The printed settings on the thesis's data: --set words=ptb folder=... and --set letters=text file=...
"""

from pdelab.figures.races import contestants, draw_panels, race

NAME = "3.7"
TITLE = "Recurrent networks: the local-entropy gradient is better than SGD and Adam without it"
NEEDS = "networks"
PARAMETERS = {"words": "topics", "letters": "topics", "folder": "", "file": "", "epochs": 0, "seeds": 5}
QUICK = {"epochs": 6, "seeds": 2}
MARGIN = 0.02  # nats a token, two per cent of a perplexity; declared before any run
CHECKS = {
    "words_sgd_mean": (None, 4.5),
    "letters_adam_mean": (None, 3.2),
    "words_entropy_sgd_high": (None, 0.0),
    "letters_entropy_adam_high": (None, 0.0),
    "letters_sgd_over_entropy_adam": (None, 1.15),
}
QUICK_CHECKS = {
    "words_sgd_mean": (None, 4.5),
    "letters_adam_mean": (None, 3.2),
    "words_entropy_sgd_difference": (-0.5, 0.05),
    "letters_entropy_adam_difference": (-1.0, 0.05),
    "letters_sgd_over_entropy_adam": (None, 1.15),
}


def compute(words, letters, folder, file, epochs, seeds):
    """Curves of the validation perplexity and paired differences of the test loss."""
    numbers = race(panels(words, letters, folder, file, epochs), seeds=seeds, metric="loss", margin=MARGIN)
    ends = {name: numbers[f"letters_{name}_curve"][:, -1].mean() for name in ("sgd", "entropy_adam")}
    return numbers | {"letters_sgd_over_entropy_adam": float(ends["sgd"] / ends["entropy_adam"])}


def panels(words, letters, folder="", file="", epochs=0):
    """A text by words and one by letters."""
    texts = {
        "words": contestants("topics-words", "ptb-lstm", ("sgd", "entropy-sgd"), data=words, folder=folder,
                             epochs=epochs),
        "letters": contestants("topics-letters", "char-lstm", ("adam", "entropy-adam", "sgd"), data=letters,
                               folder=folder, epochs=epochs),
    }  # fmt: skip
    if file:
        for arguments in texts["letters"].values():
            arguments["data_options"] = {"file": file}
    return texts


def draw(data):
    """Curves beside paired differences, one row a text."""
    return draw_panels(data, "validation perplexity")
