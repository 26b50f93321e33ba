"""Figure 3.7 and the last rows of Table 3.1 of Chaudhari's thesis on the text of Python's help topics.

Words with an LSTM under SGD without momentum against Entropy-SGD (Penn Tree Bank in the thesis), letters with an LSTM
under Adam against Entropy-Adam (War and Peace in the thesis); L = 5, errors as test loss in nats a token, whose
exponential is the perplexity. SGD with momentum on the letters is the control that Table 3.1 lacks: Entropy-Adam beats
Adam, as printed, but its inner loop is SGD, and SGD alone does as well.
On the real data: --set words=ptb folder=..., --set letters=text file=...
"""

from pdelab.figures.races import draw_panels, race, shortened

NAME = "3.7"
TITLE = "Recurrent networks under the local-entropy gradient and without it"
NEEDS = "networks"
PARAMETERS = {"words": "topics", "letters": "topics", "folder": "", "file": "", "epochs": 0, "seeds": 5}
QUICK = {"epochs": 6, "seeds": 2}
CHECKS = {"words_sgd_mean": (None, 4.5), "letters_adam_mean": (None, 3.2)}


def compute(words, letters, folder, file, epochs, seeds):
    """Curves of the validation error and paired differences of the test loss."""
    from pdelab.networks.training import recipe

    def arguments(name, source):
        found = shortened(recipe(name), epochs)
        if source == "topics":
            return found
        return found | {"data": source, "folder": folder or None, "data_options": {"file": file} if file else {}}

    panels = {
        "words": {name: arguments(f"topics-words/{name}", words) for name in ("sgd", "entropy-sgd")},
        "letters": {name: arguments(f"topics-letters/{name}", letters) for name in ("adam", "entropy-adam", "sgd")},
    }
    return race(panels, seeds=seeds, metric="loss")


def draw(data):
    """Curves beside paired differences, one row a text."""
    return draw_panels(data, TITLE, "wrong next tokens (%)")
