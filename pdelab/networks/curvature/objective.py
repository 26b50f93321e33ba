"""The loss of a network as a function of its flat weights: any model, any input, any mean over samples."""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.nn.parameter import is_lazy

from pdelab.checks import choice, refuse, whole
from pdelab.networks import models
from pdelab.networks.data import Split
from pdelab.networks.optimizers.averaging import collecting

__all__ = ["Objective", "classifier", "derivative", "differentiable", "each_tensor"]

_NORMS = nn.modules.batchnorm._BatchNorm


class Objective:
    """f(x) = (1/N) Σ_k f_k(x): the mean loss of a model over samples, as a function of its flat weights.

    Parameters
    ----------
    model : torch.nn.Module
        Used as a copy in eval mode (dropout off, batch-norm statistics frozen), as in thesis 6.3.1.
    data : pdelab.networks.data.Split, tensor, or tuple, list or dict of them
        The samples, along the first axis of every tensor. A running text is cut into windows of `steps` tokens that
        start afresh. Without `loss` a Split, or a pair (inputs, labels) of a classifier.
    loss : callable, optional
        loss(model, batch) -> the mean over the samples of the batch, or one number for each of them; a batch has the
        form of `data`. Default: cross-entropy.
    parameters : sequence of str, optional
        Which of the weights are x: names of parameters, or of modules for all in them; the others stay as they are.
        Default: all that require a gradient.
    steps : int, optional
        Window of a text stream.
    samples : int, optional
        Use only the first so many.
    dtype : torch.dtype
        Of weights, inputs that are not whole numbers, and all arithmetic.
    batch_size : int
        Samples in one pass, at most.
    statistics : "running" or "fresh"
        Of batch norms: as the model holds them, or collected anew in one pass over the samples. Take "fresh" where the
        weights have moved since: in the middle of a training loop, or at weights put in from outside.

    Raises
    ------
    ValueError
        No samples, no weights, or a loss that is no mean over samples: checked on a few from all over the data, each
        alone, and on the first batch in two parts.

    Examples
    --------
    >>> from pdelab.networks import data
    >>> f = Objective(models.mlp(64, (4,)), data.load("digits").train)
    >>> f.dimension, f.value() > 0
    (310, True)
    >>> x, y = torch.randn(20, 3), torch.randn(20, 1)
    >>> def square(model, batch):
    ...     return (model(batch["in"]) - batch["out"]).square().mean()
    >>> Objective(torch.nn.Linear(3, 1), {"in": x, "out": y}, loss=square).dimension
    4
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data: Any,
        *,
        loss: Callable | None = None,
        parameters: Sequence[str] | None = None,
        steps: int | None = None,
        samples: int | None = None,
        dtype: torch.dtype = torch.float64,
        batch_size: int = 600,
        statistics: str = "running",
    ):
        self.batch_size = whole("batch_size", batch_size)
        samples = samples if samples is None else whole("samples", samples)
        choice("statistics", statistics, ("running", "fresh"))
        self.loss = classifier if loss is None else loss
        _refuse_kinds(model)
        self.model = _copied(model).to(dtype).eval()
        self.recurrent = any(map(_fused_recurrence, self.model.modules()))
        self.parameters = _chosen(self.model, parameters)
        self.homes = _homes(self.model, self.parameters)
        self.shapes = [p.shape for p in self.parameters.values()]
        self.sizes = [p.numel() for p in self.parameters.values()]
        self.dimension, self.dtype = sum(self.sizes), dtype
        self.device = next(iter(self.parameters.values())).device
        self.split = _windows(data, steps) if isinstance(data, Split) else None
        data = data if self.split is None else (self.split.inputs, self.split.targets)
        self.count = min(_length(data), samples or math.inf)
        self.data = each_tensor(lambda t: _moved(t[: self.count], dtype, self.device), data)
        if self.split is not None:
            self.split = Split(*self.data)
        if statistics == "fresh":
            self._collect()
        self._refuse_what_is_no_mean()

    @property
    def weights(self) -> torch.Tensor:
        """The flat weights x, a copy."""
        return torch.cat([p.detach().flatten() for p in self.parameters.values()])

    def value(self) -> float:
        """f(x), a float."""
        with torch.no_grad():
            return sum(part.item() for part in self._parts())

    def gradient(self) -> torch.Tensor:
        """∇f(x), flat (d,); zero along weights that the loss does not use."""
        total = torch.zeros(self.dimension, dtype=self.dtype, device=self.device)
        for part in self._parts():
            total += self.flat(derivative(part, list(self.parameters.values())))
        return total

    def batches(self, size: int | None = None) -> Iterator:
        """Batches of at most `size` samples, nearly equal, in the form of the data.

        Parameters
        ----------
        size : int, optional
            By default `batch_size`.

        Returns
        -------
        iterator over batches
        """
        passes = -(-self.count // (size or self.batch_size))
        least, more = divmod(self.count, passes)
        edges = [least * k + min(k, more) for k in range(passes + 1)]
        return (each_tensor(lambda t: t[low:high], self.data) for low, high in zip(edges, edges[1:]))  # noqa: B023

    def first(self, count: int) -> Any:
        """The first so many samples.

        Parameters
        ----------
        count : int

        Returns
        -------
        batch
        """
        return each_tensor(lambda t: t[:count], self.data)

    def singles(self, batch: Any) -> Any:
        """The samples of a batch, as batches of one.

        Parameters
        ----------
        batch : tensors

        Returns
        -------
        iterator over batches
        """
        return (each_tensor(lambda t: t[k : k + 1], batch) for k in range(_length(batch)))  # noqa: B023

    def apart(self, batch: Any) -> Any:
        """A batch with a second axis of length one: what `vmap` makes batches of one from.

        Parameters
        ----------
        batch : tensors

        Returns
        -------
        tensors
        """
        return each_tensor(lambda t: t[:, None], batch)

    def length(self, batch: Any) -> int:
        """Samples in a batch.

        Parameters
        ----------
        batch : tensors

        Returns
        -------
        int
        """
        return _length(batch)

    def share(self, batch: Any) -> float:
        """Samples of a batch over all samples.

        Parameters
        ----------
        batch : tensors

        Returns
        -------
        float in [0, 1]
        """
        return _length(batch) / self.count

    def flat(self, parts: Any) -> torch.Tensor:
        """Tensors shaped like the parameters as one flat array.

        Parameters
        ----------
        parts : sequence of tensors
            Each (..., *shape), the leading axes in common.

        Returns
        -------
        tensor (..., d)
        """
        lead = parts[0].ndim - len(self.shapes[0])
        return torch.cat([part.reshape(*part.shape[:lead], -1) for part in parts], -1)

    def unflat(self, flat: torch.Tensor) -> Any:
        """The inverse of `flat`.

        Parameters
        ----------
        flat : tensor or array (..., d)

        Returns
        -------
        tuple of tensors
            Each (..., *shape), shaped like the parameters.
        """
        pieces = torch.as_tensor(flat, dtype=self.dtype, device=self.device).split(self.sizes, -1)
        return tuple(piece.reshape(*piece.shape[:-1], *shape) for piece, shape in zip(pieces, self.shapes))

    def mean_loss(self, batch: Any, parameters: Any = None) -> torch.Tensor:
        """The mean loss of a batch, as a function of the parameters.

        Parameters
        ----------
        batch : tensors
        parameters : dict, optional
            {name: tensor}; by default the model's own.

        Returns
        -------
        tensor ()
        """
        return self._call(parameters, batch).mean()

    def sample_losses(self, batch: Any, parameters: Any = None) -> torch.Tensor:
        """The loss of each sample of a batch, as a function of the parameters.

        Parameters
        ----------
        batch : tensors
        parameters : dict, optional
            {name: tensor}; by default the model's own.

        Returns
        -------
        tensor (n,)
        """
        losses, count = self._call(parameters, batch), _length(batch)
        if losses.ndim:
            return losses
        if count == 1:
            return losses[None]
        try:
            return vmap(lambda single: self._call(parameters, single))(self.apart(batch))
        except RuntimeError:  # an operation without a batched form
            return torch.stack([self._call(parameters, single) for single in self.singles(batch)])

    def _parts(self):
        """The parts of the mean loss, a batch at a time."""
        return (self.share(batch) * self.mean_loss(batch) for batch in self.batches())

    def _call(self, parameters, batch):
        with differentiable(self.recurrent):
            if parameters is None:  # nothing to put in their place
                return self.loss(self.model, batch)
            named = {f"model.{home}": value for name, value in parameters.items() for home in self.homes[name]}
            return functional_call(_Caller(self.model, self.loss), named, (batch,), tie_weights=False)

    def _collect(self):
        norms = [m for m in self.model.modules() if isinstance(m, _NORMS) and m.track_running_stats]
        with torch.no_grad(), collecting(self.model, norms):
            for batch in self.batches():
                self.loss(self.model, batch)

    def _refuse_what_is_no_mean(self):
        """The loss of a few samples together against that of each alone, and that of a batch against its parts': means
        weighted by class or over what is not padding agree for samples of one kind."""
        spread = torch.linspace(0, self.count - 1, min(self.count, 4), device="cpu").round().long()
        few = each_tensor(lambda t: t[spread.to(t.device)], self.data)
        with torch.no_grad():
            together = _tensor(self._call(None, few))
            if together.shape not in ((), (_length(few),)):
                wanted = f"the mean over a batch, or one number a sample ({_length(few)},)"
                raise ValueError(f"loss: expected {wanted}, got shape {tuple(together.shape)}")
            alone = torch.stack([_tensor(self._call(None, single)).mean() for single in self.singles(few)])
        self._refuse_unequal(together, alone if together.ndim else alone.mean(), alone, "each alone")
        batch = next(self.batches())
        count, first = _length(batch), _length(batch) // 3
        if not first:
            return
        pieces = [each_tensor(lambda t, k=k: t[k], batch) for k in (slice(first), slice(first, None))]
        with torch.no_grad():
            whole, *parts = (self._call(None, piece).mean() for piece in (batch, *pieces))
        self._refuse_unequal(
            whole, (first * parts[0] + (count - first) * parts[1]) / count, torch.stack(parts), "parts"
        )

    def _refuse_unequal(self, together, expected, parts, what):
        half = torch.finfo(self.dtype).eps ** 0.5
        scale = 1e-3 * half * float(parts.abs().nan_to_num().max())  # of means that cancel
        if not torch.allclose(together, expected, rtol=half, atol=scale + 1e-30, equal_nan=True):
            got = f"{together.tolist()} for some samples together and {parts.tolist()} for {what}"
            raise ValueError(
                f"loss: expected a mean over samples that do not see one another, got {got}: divide a sum by the "
                "samples, let a loss with class weights or padding return one number a sample, give batch norms "
                "running statistics, let the batch be the first axis"
            )


class _Caller(nn.Module):
    """A loss as a module, so that `functional_call` reaches the weights of its model."""

    def __init__(self, model, loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch):
        return self.loss(self.model, batch)


def derivative(value, inputs, along=None, **options):
    """`torch.autograd.grad` with zeros for inputs that do not enter, also where none does."""
    if not value.requires_grad:
        return tuple(torch.zeros_like(p) for p in inputs)
    return torch.autograd.grad(value, inputs, along, materialize_grads=True, **options)


@contextmanager
def differentiable(recurrent=False):
    """Inside, attention is computed in elementary operations, which have second and per-sample derivatives; with
    `recurrent` so are LSTM, GRU and RNN."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH))
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        if recurrent:
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def classifier(model, batch):
    """Cross-entropy of each sample; of a text the mean over its tokens."""
    inputs, targets = batch
    output = model(inputs)
    logits = output[0].flatten(0, 1) if isinstance(output, tuple) else output
    losses = functional.cross_entropy(logits, targets.flatten(), reduction="none")
    return losses.view(len(targets), -1).mean(1)


def _copied(model):
    try:
        copied = copy.deepcopy(model)
    except RuntimeError as error:  # torch.nn.utils.weight_norm keeps a result of its last call, which has a graph
        raise ValueError(
            f"model: expected one that can be copied, got {error}: use torch.nn.utils.parametrizations instead of "
            "torch.nn.utils.weight_norm, or call the model once under torch.no_grad()"
        ) from error
    for module in copied.modules():
        if isinstance(module, models.LSTM):
            module.fused = False
        if type(module).__name__ == "_WeightNorm":  # the second derivative of torch's own operation is wrong
            module.forward = types.MethodType(_weight_norm, module)
    return copied


def _weight_norm(module, length, direction):
    return direction * (length / torch.norm_except_dim(direction, 2, module.dim))


def _fused_recurrence(module):
    return isinstance(module, nn.RNNBase) and getattr(module, "fused", True)


def _refuse_kinds(model):
    """Weights that no derivative here can be taken by."""
    for name, p in model.named_parameters():
        kinds = {"a lazy one": is_lazy(p), "a complex one": p.is_complex(), "one on the device meta": p.is_meta}
        for kind, is_one in kinds.items():
            if is_one:
                raise ValueError(f"model: expected real parameters with numbers, got {name!r}, {kind}")


def _chosen(model, wanted):
    """{name: parameter} of the weights that are x; the others no longer require a gradient."""
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError("model: expected trainable parameters, got none")
    if wanted is None:
        return trainable
    wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    chosen = {name: p for name, p in trainable.items() if any(_inside(name, place) for place in wanted)}
    for place in wanted:
        if not any(_inside(name, place) for name in trainable):
            refuse(
                "parameters", f"names of trainable parameters or of modules, such as {next(iter(trainable))!r}", place
            )
    if not chosen:
        refuse("parameters", "at least one name", wanted)
    for name, p in trainable.items():
        p.requires_grad_(name in chosen)
    return chosen


def _homes(model, parameters):
    """{name: where the parameter stands}, each module once under whatever names it has: torch's `functional_call`, left
    to find that out, would not put the weights of a module back that has two names."""
    names, homes = {id(p): name for name, p in parameters.items()}, {name: [] for name in parameters}
    for path, module in model.named_modules():
        for own, p in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(p) in names:
                homes[names[id(p)]].append(f"{path}.{own}" if path else own)
    return homes


def _inside(name, module):
    return name == module or name.startswith(f"{module}.")


def _windows(split, steps):
    if not split.stream:
        return split
    if not steps:
        raise ValueError("steps: expected the length of the windows of a running text, got None")
    count = len(split) // steps
    return Split(*(part[: count * steps].view(count, steps) for part in (split.inputs, split.targets)))


def each_tensor(function, tree):
    """The same nest of tuples, lists and dicts, with function(tensor) for every tensor."""
    if isinstance(tree, Mapping):
        return {key: each_tensor(function, item) for key, item in tree.items()}
    if isinstance(tree, (tuple, list)):
        items = [each_tensor(function, item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return function(_tensor(tree, "data"))


def _tensor(value, name="loss"):
    if isinstance(value, np.ndarray) and name == "data":
        return torch.from_numpy(value)
    if not isinstance(value, torch.Tensor):
        refuse(name, "a tensor" if name == "loss" else "tensors, in tuples, lists or dicts", value)
    return value


def _tensors(tree):
    tensors = []
    each_tensor(tensors.append, tree)
    return tensors


def _length(tree):
    lengths = {len(t) if t.ndim else 0 for t in _tensors(tree)}
    if len(lengths) != 1 or not min(lengths):
        raise ValueError(f"data: expected at least one sample along the first axis of each tensor, got {lengths}")
    return lengths.pop()


def _moved(tensor, dtype, device):
    return tensor.to(device, dtype if tensor.is_floating_point() else None)
