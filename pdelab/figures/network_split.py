"""Figure 5.7 and two rows of Table 5.2 of Chaudhari's thesis at the scale of the digits: replicas that see part of the
data.

Three replicas with half of the data each and six with a quarter, against SGD on all data and SGD on one share. What
reproduces: the elastic force carries what the other replicas saw, so replicas on shares beat SGD on one share. What
does not: replicas on shares are not better than SGD on all data, the differences are undecided.
The printed settings on the thesis's data: --set data=cifar10 folder=... (allcnn, 200 epochs).
"""

from pdelab.figures.races import contestants, draw_panels, race

NAME = "5.7"
TITLE = "Replicas that see a share of the data each make up for most of what a share alone loses"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "", "epochs": 0, "seeds": 8}
QUICK = {"seeds": 3}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "half_each_sgd_mean": (None, 6.0),
    "half_each_sgd_on_a_share_low": (0.0, None),
    "a_quarter_each_sgd_mean": (None, 6.0),
    "a_quarter_each_sgd_on_a_share_low": (0.5, None),
    "a_quarter_each_gain": (1.0, None),
}
QUICK_CHECKS = {
    "half_each_sgd_mean": (None, 6.0),
    "half_each_sgd_on_a_share_difference": (0.0, None),
    "a_quarter_each_sgd_mean": (None, 6.0),
    "a_quarter_each_sgd_on_a_share_difference": (0.5, None),
    "a_quarter_each_gain": (0.0, None),
}
IMAGES = {"digits": 1078, "mnist-5k": 3500}  # that built-in data sets train on
SPLITS = (("half each", 3, 0.5), ("a quarter each", 6, 0.25))


def compute(data, folder, model, epochs, seeds):
    """Curves and paired differences to SGD on all data; epochs are passes over a replica's own share."""
    numbers = race(panels(data, folder, model, epochs), seeds=seeds, margin=MARGIN)
    gain = numbers["a_quarter_each_sgd_on_a_share_mean"] - numbers["a_quarter_each_elastic_sgd_mean"]
    return numbers | {"a_quarter_each_gain": gain}


def panels(data, folder, model="", epochs=0, whole=False):
    """Two ways to split the data; `whole`: before them, all data for every replica."""
    names = ("sgd", "elastic-sgd", "parle")
    base = contestants("digits-mlp", "allcnn, replicas", names, data=data, folder=folder, model=model, epochs=epochs)
    problems = {"all data": base} if whole else {}
    for title, replicas, share in SPLITS:
        part = {"replicas": replicas, "share": share, "epochs": round(base["sgd"]["epochs"] / share)}
        alone = base["sgd"] | {"epochs": part["epochs"], "data_options": _share_of_data(base["sgd"], share)}
        runs = {name: base[name] | part for name in names[1:]}
        problems[title] = {"sgd": base["sgd"], **runs, "sgd on a share": alone}
    return problems


def _share_of_data(arguments, share):
    options = dict(arguments.get("data_options") or {})
    return options | {
        "train": round(share * IMAGES[arguments["data"]]) if arguments["data"] in IMAGES else 0.88 * share
    }


def draw(data):
    """Curves beside paired differences, one row a way to split."""
    figure = draw_panels(data)
    for ax in figure.axes[::2]:
        ax.set_xlabel("effective epochs, each over its own images")
    return figure
