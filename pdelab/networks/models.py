"""The networks of the papers: sizes are arguments, defaults are the papers', weights are counted as in the text.

Image models map a batch (n, channels, height, width) to logits (n, classes). Language models map token numbers
(n, steps) to (logits (n, steps, vocabulary), state). In the thesis's notation fc and conv stand for the linear map,
then ReLU, then batch normalisation; this order is kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pdelab.networks.checks import choice, probability, several, switch, whole

__all__ = [
    "LSTM", "LanguageModel", "MODELS", "WideBlock", "allcnn", "build", "char_lstm", "he", "lenet", "mlp", "mnistfc",
    "parameter_count", "ptb_lstm", "sizes", "wide_resnet",
]  # fmt: skip


def mlp(
    inputs: int = 64,
    hidden: Sequence[int] = (32,),
    classes: int = 10,
    *,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    batch_norm: bool = False,
) -> torch.nn.Sequential:
    """A fully-connected network: input → drop → (fc → drop) × len(hidden) → linear.

    Parameters
    ----------
    inputs : int
        Numbers in one input; images are flattened.
    hidden : sequence of int
        Units of each hidden layer.
    classes : int
        Length of the output, at least two.
    dropout, input_dropout : float in [0, 1)
        Probability that a hidden unit (an input) is set to zero while training.
    batch_norm : bool
        Batch normalisation after each ReLU.

    Returns
    -------
    torch.nn.Sequential

    Examples
    --------
    >>> parameter_count(mlp(784, (64,)))     # small-fc: thesis 3.3.1 prints 32 units, its count says 64
    50890
    """
    several("hidden", hidden)
    _positive(inputs=inputs, classes=classes, hidden=hidden)
    layers, width = [nn.Flatten(), *_dropout(input_dropout, "input_dropout")], inputs
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU(), *_norm(nn.BatchNorm1d, units, batch_norm), *_dropout(dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))


def mnistfc(
    inputs: int = 784,
    hidden: int = 1024,
    layers: int = 2,
    classes: int = 10,
    *,
    dropout: float = 0.2,
    input_dropout: float = 0.2,
    batch_norm: bool = True,
) -> torch.nn.Sequential:
    """mnistfc: input₇₈₄ → drop₀.₂ → (fc₁₀₂₄ → drop₀.₂) × 2 → fc₁₀, 1.86 million weights (thesis 4.6.2).

    Section 2.4.3 has 16 layers of 128 units: `mnistfc(hidden=128, layers=16, dropout=0, input_dropout=0,
    batch_norm=False)`, in `MODELS` as "deep-mnistfc".

    Parameters
    ----------
    inputs, hidden, layers, classes : int >= 1
    dropout, input_dropout, batch_norm
        As in `mlp`.

    Returns
    -------
    torch.nn.Sequential

    Examples
    --------
    >>> parameter_count(mnistfc())
    1867786
    """
    _positive(layers=layers)
    sizes = (hidden,) * layers
    return mlp(inputs, sizes, classes, dropout=dropout, input_dropout=input_dropout, batch_norm=batch_norm)


def lenet(
    inputs: int = 1,
    size: int = 28,
    classes: int = 10,
    *,
    channels: tuple[int, int] = (20, 50),
    hidden: int = 500,
    kernel: int = 5,
    padding: int = 0,
    pools: tuple[int, int] = (3, 2),
    dropout: tuple[float, float] = (0.25, 0.25),
    batch_norm: tuple[bool, bool] = (True, False),
) -> torch.nn.Sequential:
    """lenet: conv₂₀,₅,₃ → drop → conv₅₀,₅,₂ → drop → fc₅₀₀ → drop → fc₁₀, 131,220 weights (thesis 4.6.2).

    Parameters
    ----------
    inputs, size : int
        Channels and side of the square images.
    classes : int
        Length of the output.
    channels, pools : two ints each
        Features of the two convolutions and the side of the max-pooling that follows each.
    hidden, kernel, padding : int
        Units of the fully-connected layer; side of the filters; zeros added around the image.
    dropout, batch_norm : pairs
        For (convolutions, fully-connected layer). The printed numbers of weights say which layers have batch
        normalisation: with 131,220 the fully-connected layer has none, with 13,338 (small-lenet, 6.3.1) it has.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        Images too small for the filters and pools.

    Examples
    --------
    >>> parameter_count(lenet())
    131220
    """
    _pairs(channels=channels, pools=pools, dropout=dropout, batch_norm=batch_norm)
    _positive(inputs=inputs, size=size, classes=classes, hidden=hidden, kernel=kernel, channels=channels, pools=pools)
    whole("padding", padding, 0)
    side, width, layers = size, inputs, []
    for features, pool in zip(channels, pools):
        side = (side + 2 * padding - kernel + 1) // pool
        layers += [nn.Conv2d(width, features, kernel, padding=padding), nn.ReLU()]
        layers += [*_norm(nn.BatchNorm2d, features, batch_norm[0]), nn.MaxPool2d(pool), *_dropout(dropout[0])]
        width = features
    if side < 1:
        raise ValueError(
            f"size: expected images large enough for kernel={kernel}, padding={padding}, pools={tuple(pools)}, got "
            f'{size}: the model "digits-lenet" has smaller filters and pools (kernel=3, padding=1, pools=(2, 2))'
        )
    layers += [nn.Flatten(), nn.Linear(width * side**2, hidden), nn.ReLU()]
    layers += [*_norm(nn.BatchNorm1d, hidden, batch_norm[1]), *_dropout(dropout[1])]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


def allcnn(
    inputs: int = 3,
    classes: int = 10,
    *,
    channels: tuple[int, int] = (96, 192),
    dropout: tuple[float, float] = (0.2, 0.5),
) -> torch.nn.Sequential:
    """allcnn: drop₀.₂ → block₉₆,₃ → block₁₉₂,₃ → conv₁₉₂,₃ × 2 → conv₁₀ → mean-pool (thesis 4.6.3).

    1.67 million weights. block_d,3 is conv_d,3 → conv_d,3 → conv_d,3 of stride 2 → drop₀.₅. Images of side at
    least 4; 32 gives the 10 × 8 × 8 of the text. The counts of the text (1.67 million; 26,982 for the small one of
    6.3.1) say that both conv₁₉₂ have 3 × 3 filters, unlike Springenberg et al. (2014), and that conv₁₀ is 1 × 1
    with batch normalisation.

    Parameters
    ----------
    inputs, classes : int
        Channels of the images; length of the output.
    channels : two ints
        Features of the two blocks.
    dropout : two floats in [0, 1)
        On the input and at the end of each block.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        Sizes out of range.

    Examples
    --------
    >>> parameter_count(allcnn()), parameter_count(allcnn(channels=(12, 24)))
    (1667166, 26982)
    """
    _pairs(channels=channels, dropout=dropout)
    _positive(inputs=inputs, classes=classes, channels=channels)
    first, second = channels
    layers = [*_dropout(dropout[0])]
    for before, after in ((inputs, first), (first, second)):
        layers += [*_conv(before, after), *_conv(after, after), *_conv(after, after, stride=2), *_dropout(dropout[1])]
    layers += [*_conv(second, second), *_conv(second, second), *_conv(second, classes, kernel=1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def wide_resnet(
    depth: int = 28, widen: int = 10, inputs: int = 3, classes: int = 10, *, dropout: float = 0.3
) -> torch.nn.Module:
    """WRN-depth-widen of Zagoruyko and Komodakis (2016): pre-activated residual blocks with dropout between filters.

    Parameters
    ----------
    depth : int
        4 + 6 blocks-per-group: 10, 16, 22, 28, ...
    widen : int
        Groups have 16, 32 and 64 times this many features.
    inputs, classes : int
        Channels of the images; length of the output.
    dropout : float in [0, 1)
        0.3 for CIFAR (thesis 5.4.3), 0.4 for SVHN (thesis 5.4.4).

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        A depth that is not 4 + 6 n, other sizes out of range.

    Examples
    --------
    >>> parameter_count(wide_resnet(16, 4))
    2748890
    """
    _positive(depth=depth, widen=widen, inputs=inputs, classes=classes)
    probability("dropout", dropout)
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth: expected 10, 16, 22, 28, ... (4 + 6 n), got {depth}")
    width, layers = 16, list[nn.Module]([nn.Conv2d(inputs, 16, 3, padding=1, bias=False)])
    for group, features in enumerate((16 * widen, 32 * widen, 64 * widen)):
        for block in range((depth - 4) // 6):
            layers.append(WideBlock(width, features, stride=2 if group and not block else 1, dropout=dropout))
            width = features
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    model = nn.Sequential(*layers)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model


class WideBlock(nn.Module):
    """x + conv(drop(conv(x))) with batch normalisation and ReLU before each 3 × 3 convolution.

    Parameters
    ----------
    inputs, features, stride : int >= 1
    dropout : float in [0, 1)

    Examples
    --------
    >>> WideBlock(2, 4, 2, 0.0)(torch.ones(1, 2, 6, 6)).shape
    torch.Size([1, 4, 3, 3])
    """

    def __init__(self, inputs: int, features: int, stride: int, dropout: float):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(features)
        self.conv1 = nn.Conv2d(inputs, features, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.drop = nn.Dropout(dropout)
        same = inputs == features and stride == 1
        self.shortcut = None if same else nn.Conv2d(inputs, features, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """relu, convolution and shortcut of the block.

        Parameters
        ----------
        x : tensor (n, inputs, h, w)

        Returns
        -------
        tensor (n, features, h/stride, w/stride)
        """
        active = functional.relu(self.norm1(x))
        inner = self.drop(functional.relu(self.norm2(self.conv1(active))))
        return self.conv2(inner) + (x if self.shortcut is None else self.shortcut(active))


def char_lstm(
    vocabulary: int = 87, hidden: int = 128, layers: int = 2, *, dropout: float = 0.0, decoder_bias: bool = True
) -> torch.nn.Module:
    """A character model: one-hot letters → LSTM → linear; two layers of 128 units, 87 letters (thesis 3.3.5).

    The 32,640 weights of the small one in 3.3.1 (48 units, 96 letters) are torch's LSTM (two bias vectors) without a
    decoder bias, in `MODELS` as "small-char-lstm".

    Parameters
    ----------
    vocabulary, hidden, layers : int >= 1
    dropout : float in [0, 1)
    decoder_bias : bool

    Returns
    -------
    LanguageModel

    Examples
    --------
    >>> parameter_count(char_lstm(96, 48, 1, decoder_bias=False))
    32640
    """
    return LanguageModel(vocabulary, hidden, layers, dropout=dropout, decoder_bias=decoder_bias, width=0.08)


def ptb_lstm(
    vocabulary: int = 10000, hidden: int = 1500, layers: int = 2, *, embedding: int | None = None, dropout: float = 0.65
) -> torch.nn.Module:
    """The word model of Zaremba et al. (2014): embedding → LSTM × 2 of 1500 units → linear, 66 million weights (3.3.4).

    Weights start uniform within ±0.04 √(1500/hidden): the published ±0.04 at the published size.

    Parameters
    ----------
    vocabulary, hidden, layers : int >= 1
    embedding : int, optional
        Default: `hidden`.
    dropout : float in [0, 1)

    Returns
    -------
    LanguageModel

    Examples
    --------
    >>> parameter_count(ptb_lstm(100, 20))
    10820
    """
    _positive(hidden=hidden)
    width = 0.04 * (1500 / hidden) ** 0.5
    embedding = hidden if embedding is None else embedding
    return LanguageModel(vocabulary, hidden, layers, embedding=embedding, dropout=dropout, width=width)


class LSTM(nn.LSTM):
    """`torch.nn.LSTM`, batch first; with `fused=False` the same map in elementary operations.

    The fused kernels have no rule for per-sample gradients and batched second derivatives, the elementary ones do.

    Parameters
    ----------
    inputs, hidden, layers : int >= 1
    dropout : float in [0, 1)
        Between the layers.

    Examples
    --------
    >>> outputs, state = LSTM(3, 5, 2, 0.0)(torch.ones(1, 4, 3))
    >>> outputs.shape
    torch.Size([1, 4, 5])
    """

    fused = True

    def __init__(self, inputs: int, hidden: int, layers: int, dropout: float):
        super().__init__(inputs, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple:  # type: ignore[override]
        """The outputs of all steps and the last state.

        Parameters
        ----------
        x : tensor (n, steps, inputs)
        state : (h, c), optional
            Each (layers, n, hidden); by default zeros.

        Returns
        -------
        (outputs, state)
            Outputs (n, steps, hidden).
        """
        if self.fused:
            return super().forward(x, state)
        if state is None:
            state = (x.new_zeros(self.num_layers, x.shape[0], self.hidden_size),) * 2
        last = []
        for layer in range(self.num_layers):
            if layer:
                x = functional.dropout(x, self.dropout, self.training)
            x, h, c = self._layer(x, state[0][layer], state[1][layer], layer)
            last.append((h, c))
        return x, tuple(torch.stack(part) for part in zip(*last))

    def _layer(self, x, h, c, layer):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_in, w_back, b_in, b_back = (getattr(self, f"{name}_l{layer}") for name in names)
        driven, outputs = x @ w_in.T + (b_in + b_back), []
        for step in range(x.shape[1]):
            i, f, g, o = (driven[:, step] + h @ w_back.T).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, 1), h, c


class LanguageModel(nn.Module):
    """Tokens (n, steps) and the state of the last call to (logits (n, steps, vocabulary), state).

    Parameters
    ----------
    vocabulary, hidden, layers : int >= 1
    embedding : int, optional
        Length of the vectors for tokens; None: one-hot.
    dropout : float in [0, 1)
    decoder_bias : bool
    width : float, optional
        Weights start uniform within ± this.

    Examples
    --------
    >>> logits, state = LanguageModel(10, 5, 1)(torch.zeros(1, 4, dtype=torch.long))
    >>> logits.shape
    torch.Size([1, 4, 10])
    """

    def __init__(
        self,
        vocabulary: int,
        hidden: int,
        layers: int,
        *,
        embedding: int | None = None,
        dropout: float = 0.0,
        decoder_bias: bool = True,
        width: float | None = None,
    ):
        super().__init__()
        _positive(vocabulary=vocabulary, hidden=hidden, layers=layers)
        probability("dropout", dropout)
        switch("decoder_bias", decoder_bias)
        if embedding is not None:
            _positive(embedding=embedding)
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary, embedding) if embedding else None
        self.lstm = LSTM(embedding or vocabulary, hidden, layers, dropout)
        self.drop = nn.Dropout(dropout)
        self.decoder = nn.Linear(hidden, vocabulary, bias=decoder_bias)
        if width is not None:
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -width, width)

    def forward(self, tokens: torch.Tensor, state: Any = None) -> tuple:
        """Logits of the next letter at each step, and the last state.

        Parameters
        ----------
        tokens : tensor (n, steps) of int64
        state : (h, c), optional
            Of the last call; by default zeros.

        Returns
        -------
        (logits, state)
            Logits (n, steps, vocabulary).
        """
        if self.embedding is None:
            letters = torch.arange(self.vocabulary, device=tokens.device)  # one_hot() cannot be batched by vmap
            x = (tokens[..., None] == letters).to(self.decoder.weight.dtype)
        else:
            x = self.drop(self.embedding(tokens))
        x, state = self.lstm(x, state)
        return self.decoder(self.drop(x)), state


MODELS: dict[str, tuple[Callable[..., nn.Module], dict]] = {
    "mlp": (mlp, {}),
    "small-fc": (mlp, {"inputs": 784, "hidden": (64,)}),
    "small-fc-bn": (mlp, {"inputs": 49, "hidden": (64, 64), "batch_norm": True}),
    "tiny-fc": (mlp, {"inputs": 49, "hidden": (16,), "classes": 5, "batch_norm": True}),
    "mnistfc": (mnistfc, {}),
    "deep-mnistfc": (
        mnistfc,
        {"hidden": 128, "layers": 16, "dropout": 0.0, "input_dropout": 0.0, "batch_norm": False},
    ),
    "lenet": (lenet, {}),
    "block-lenet": (lenet, {"channels": (32, 64), "hidden": 512, "pools": (3, 3), "dropout": (0.0, 0.1)}),
    "small-lenet": (lenet, {"channels": (10, 20), "hidden": 128, "pools": (2, 2), "batch_norm": (False, False)}),
    "small-lenet-bn": (
        lenet,
        {"channels": (8, 16), "hidden": 128, "dropout": (0.1, 0.0), "batch_norm": (True, True)},
    ),
    "digits-lenet": (
        lenet,
        {
            "size": 8,
            "channels": (8, 16),
            "hidden": 32,
            "kernel": 3,
            "padding": 1,
            "pools": (2, 2),
            "dropout": (0.0, 0.0),
        },
    ),
    "allcnn": (allcnn, {}),
    "small-allcnn": (allcnn, {"channels": (12, 24)}),
    "wrn-28-10": (wide_resnet, {}),
    "wrn-16-4": (wide_resnet, {"depth": 16, "widen": 4, "dropout": 0.4}),
    "char-lstm": (char_lstm, {}),
    "small-char-lstm": (char_lstm, {"vocabulary": 96, "hidden": 48, "layers": 1, "decoder_bias": False}),
    "ptb-lstm": (ptb_lstm, {}),
}


def sizes(name: str, data: Any = None, **given: Any) -> dict:
    """The arguments `build` uses: those of the name, then what `data` fixes (channels, side, classes), then `given`.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    data : pdelab.networks.data.Data, optional
    **given
        Sizes that replace the defaults of the name.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        An unknown name or size, a size that does not fit the data.

    Examples
    --------
    >>> sizes("mlp", hidden=(5,))
    {'hidden': (5,)}
    """
    choice("model", name, MODELS)
    builder, preset = MODELS[name]
    allowed = inspect.signature(builder).parameters
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        allowed = ", ".join(allowed)
        raise ValueError(f"{unknown[0]}: expected a size of {name!r}, one of {allowed}, got {given[unknown[0]]!r}")
    fixed = {} if data is None else _fixed_by(data, builder)
    clash = [key for key in fixed if key in given and given[key] != fixed[key]]
    if clash:
        raise ValueError(f"{clash[0]}: expected {fixed[clash[0]]}, as the data has it, got {given[clash[0]]!r}")
    return {**preset, **fixed, **given}


def build(name: str, data: Any = None, **given: Any) -> torch.nn.Module:
    """Build a model by name, fitted to a data set when one is given.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    data : pdelab.networks.data.Data, optional
        Fixes channels, side and classes (or the vocabulary).
    given
        Sizes that replace the defaults of the name: see the builder, e.g. `lenet`.

    Returns
    -------
    torch.nn.Module
        Weights drawn from torch's global generator.

    Raises
    ------
    ValueError
        Unknown name or size; sizes that do not fit the data.

    Examples
    --------
    >>> parameter_count(build("small-lenet")), parameter_count(build("small-lenet-bn"))
    (47658, 13338)
    """
    arguments = sizes(name, data, **given)
    return MODELS[name][0](**arguments)


def he(model: torch.nn.Module) -> torch.nn.Module:
    """Draw weights from N(0, 2/fan-in) and set biases to zero, in place (He et al. 2015); returns the model.

    Very deep ReLU networks train with it and hardly without: the control of Figure 2.3.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    torch.nn.Module
        The same.

    Examples
    --------
    >>> he(mlp(4, (3,), 2))[-1].bias.abs().max().item()
    0.0
    """
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def parameter_count(model: torch.nn.Module) -> int:
    """The number of trainable weights d of a model.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    int

    Examples
    --------
    >>> parameter_count(torch.nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _fixed_by(data, builder):
    text = builder in (char_lstm, ptb_lstm)
    if text != (data.kind == "text"):
        wanted = "text" if text else "images"
        raise ValueError(f"data: expected {wanted} for {builder.__name__}, got {data.name}, {data.kind}")
    if text:
        return {"vocabulary": data.classes}
    channels, height, width = data.shape
    if builder in (mlp, mnistfc):
        return {"inputs": channels * height * width, "classes": data.classes}
    square = {"size": height} if builder is lenet else {}
    if square and height != width:
        raise ValueError(f"data: expected square images for lenet, got {data.name}, {height} x {width}")
    return {"inputs": channels, "classes": data.classes, **square}


def _conv(inputs, features, kernel=3, stride=1):
    filters = nn.Conv2d(inputs, features, kernel, stride, padding=kernel // 2)
    return [filters, nn.ReLU(), nn.BatchNorm2d(features)]


def _norm(layer, features, wanted):
    switch("batch_norm", wanted)
    return [layer(features)] if wanted else []


def _dropout(share, name="dropout"):
    probability(name, share)
    return [nn.Dropout(share)] if share else []


def _positive(**numbers):
    for name, sizes in numbers.items():
        for number in sizes if isinstance(sizes, (list, tuple)) else (sizes,):
            whole(name, number, 1)


def _pairs(**arguments):
    for name, values in arguments.items():
        several(name, values, 2)
