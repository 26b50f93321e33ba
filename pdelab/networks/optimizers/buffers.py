"""One flat buffer per device and dtype: parameters become views of it, and every state of an optimizer is a row of it.

A replica's row holds all of its parameters one after the other, in the order of the groups, each starting on a tile
of 64 elements. One pass, one collective and one copy then serve a whole network. Every parameter has a storage of its
own on its part of the row, so that whoever saves it alone (safetensors, `torch.save`) finds nothing else there. Where
parameters cannot be views (shards of FSDP, tensors that share memory), and in a graph of torch.compile, which must see
that parameters change, the rows stay flat and the parameters are updated tensor by tensor.

After the weights a row has one column a parameter, of use in replicas: whether the parameter had a gradient.
"""

import numpy as np
import torch

from pdelab.networks.optimizers.thermal import TILE

__all__ = [
    "Buffer", "Layout", "NUMPY", "SCRATCH", "Segment", "alone", "dense", "like", "local", "padded", "spread",
    "why_not_views", "zeros",
]  # fmt: skip

SCRATCH = ("g", "noise")
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
LINE = 64  # bytes: rows start on cache lines, as torch's own tensors do
STAGGER = 224  # numbers, whole lines: rows with equal low bits of their addresses slow each other


class Buffer:
    """The rows of all parameters with one device and dtype: rows[name] has shape (replicas, size)."""

    def __init__(self, device, dtype, number, replicas):
        self.device, self.dtype, self.number, self.replicas = device, dtype, number, replicas
        self.size = self.count = 0  # columns, and how many of them are weights
        self.tensors = 0  # of a replica
        self.span = 0  # what `size` is where no parameter is sharded
        self.rows = {}
        self.spare = None

    def flags(self, row):
        """The columns of a row after those of the weights, one a parameter."""
        return row[..., self.size - padded(self.tensors) :][..., : self.tensors]

    def column_memory(self):
        """Memory for one number a column, the same each time: new pages would cost more than what is written there."""
        if self.spare is None:
            self.spare = torch.empty(self.size, dtype=self.dtype, device=self.device)
        return self.spare

    def row(self, name):
        """The row of a state, zero at first use."""
        if name not in self.rows:
            count, shift = self.replicas * self.size, STAGGER * len(self.rows)
            memory = zeros(count + shift + LINE, self.dtype, self.device)
            start = shift + -memory.data_ptr() % LINE // memory.element_size()
            self.rows[name] = memory[start : start + count].view(self.replicas, self.size)
        return self.rows[name]


def zeros(count, dtype, device):
    """A vector of zeros; NumPy asks for huge pages, which large updates are faster on."""
    if device.type == "cpu" and dtype in NUMPY:
        return torch.from_numpy(np.zeros(count, NUMPY[dtype]))
    return torch.zeros(count, dtype=dtype, device=device)


class Segment:
    """One group's parameters on one buffer for one replica: columns start … stop of the replica's row.

    seen: of each parameter 0 before its first gradient, 2 when it had one in the present loop, else 1.
    """

    def __init__(self, buffer, group, replica, params, offsets, first, origins):
        self.buffer, self.group, self.replica, self.params, self.offsets = buffer, group, replica, params, offsets
        self.start, self.stop = offsets[0], offsets[-1] + padded(local(params[-1]).numel())
        self.tiles = (self.stop - self.start) // TILE
        self.usual = all(p.is_contiguous() for p in params)
        self.where = [p.data_ptr for p in params]
        sizes = [local(p).numel() for p in params]
        self.map = np.array([[0] * len(params), sizes, offsets], np.int64)
        self.addresses, self.sizes, self.places = self.map  # of the gradients; in the row
        self.origins = origins  # of the whole parameters among the columns, where none is sharded
        self.sharded = any(hasattr(p, "to_local") for p in params)
        self.first = first  # of its parameters among those of the replica on this buffer
        self.views, self.homes, self.engine = False, None, None
        self.seen, self.earlier, self.whole = ((state,) * len(params) for state in range(3))
        self.everyone = (True,) * len(params)
        self.alive = self.grads = self.pieces = None
        self.packs = {}
        self.key = np.zeros(3, np.uint64)
        self._flat, self._tensors, self._arrays = {}, {}, {}

    @property
    def viewable(self):
        """Whether the parameters are the row "y": in a graph, which knows of no shared memory, they are not."""
        return self.views and not torch.compiler.is_compiling()

    def start_loop(self):
        """Forget which parameters had a gradient in the last loop."""
        self.seen = self.earlier if self.seen is self.whole else tuple(min(state, 1) for state in self.seen)

    def note(self, present):
        """Gradients were found for the parameters that `present` is true for."""
        self.seen = self.whole if all(present) else tuple(2 if p else s for p, s in zip(present, self.seen))

    @property
    def active(self):
        """Of each parameter, whether it had a gradient in the present loop: the others do not move."""
        return self.everyone if self.seen is self.whole else tuple(state == 2 for state in self.seen)

    def moving(self, name):
        """`lists` of the parameters that had a gradient in the present loop."""
        return self.lists(name) if self.seen is self.whole else self.chosen(name, self.active)

    def chosen(self, name, wanted):
        """`lists` of the parameters that `wanted` is true for."""
        return self.lists(name) if all(wanted) else [t for t, want in zip(self.tensors(name), wanted) if want]

    def columns(self, name, wanted):
        """A row that is no parameter's own memory, cut as `cut` does."""
        return [self.flat(name)] if all(wanted) else self.cut(self.buffer.row(name)[self.replica], wanted)

    def cut(self, vector, wanted):
        """Of a vector with one number a column those of the parameters that `wanted` is true for, a list of tensors: a
        single one where that is all of them."""
        if all(wanted):
            return [vector[self.start : self.stop]]
        places = zip(self.params, self.offsets, wanted)
        return [like(vector, local(p.data), offset) for p, offset, want in places if want]

    def written(self, wanted=None):
        """Tell autograd that the weights changed, those with a gradient in this loop or, with `whole`, all of them: a
        graph that still needs the old ones must not run backward."""
        if wanted is None:
            wanted = self.seen
        changed = self.params if wanted is self.whole else [p for p, want in zip(self.params, wanted) if want == 2]
        torch.autograd.graph.increment_version(changed)

    def flat(self, name):
        """The segment's columns of a row, 1-D."""
        if name not in self._flat:
            self._flat[name] = self.buffer.row(name)[self.replica, self.start : self.stop]
        return self._flat[name]

    def tensors(self, name):
        """The row cut into views with the parameters' shapes; for "y" the parameters' own memory."""
        if name == "y" and torch.compiler.is_compiling():
            return [local(p) for p in self.params]
        if name == "y" and not self.views:
            return [local(p.data) for p in self.params]
        if name not in self._tensors:
            row = self.buffer.row(name)[self.replica]
            self._tensors[name] = [like(row, local(p.data), k) for p, k in zip(self.params, self.offsets)]
        return self._tensors[name]

    def own(self, name):
        """`tensors` with a storage each, as long as the row lives."""
        whole = name == "y" and not self.views
        parts = self.tensors(name) if whole else [alone(t) for t in self.tensors(name)]
        return [spread(p, part) for p, part in zip(self.params, parts)] if self.sharded else parts

    def release(self):
        """Let go of the gradients."""
        self.alive = self.grads = self.pieces = None

    def make(self, names):
        """Make the rows and their views."""
        for name in names:
            self.flat(name)
            self.tensors(name)

    def array(self, name):
        """The replica's whole row as a NumPy array on the same memory (CPU)."""
        if name not in self._arrays:
            self._arrays[name] = self.buffer.row(name)[self.replica].numpy()
        return self._arrays[name]

    def lists(self, name):
        """The row as a list for torch._foreach: one flat tensor, or the pieces where parameters are not views."""
        if self.views and not torch.compiler.is_compiling():
            return [self.flat(name)]
        return self.tensors(name)

    def write(self, target, source):
        """row target ← row source."""
        torch._foreach_copy_(self.lists(target), self.lists(source))

    def saved(self, name):
        """A copy of the row."""
        return [t.clone() for t in self.lists(name)]

    def restore(self, name, values):
        """row name ← a copy made by `saved`."""
        torch._foreach_copy_(self.lists(name), values)


class Layout:
    """All buffers and segments of an optimizer; `reason` says why the parameters are not views, or is None."""

    def __init__(self, groups, replicas, views=True):
        self.buffers = {}
        self.segments = []
        self.reason = why_not_views(groups) if views else "views were not wanted"
        for number, group in enumerate(groups):
            self._place(number, group["params"], replicas)
        for buffer in self.buffers.values():
            buffer.size += padded(buffer.tensors)
        if self.reason is None:
            self._adopt()

    def _place(self, number, params, replicas):
        share = len(params) // replicas
        offsets, firsts = {}, {}
        for replica in range(replicas):
            kinds = {}
            for p in params[replica * share : (replica + 1) * share]:
                kinds.setdefault((p.device, p.dtype), []).append(p)
            for key, members in kinds.items():
                buffer = self.buffers.get(key)
                if buffer is None:
                    buffer = self.buffers[key] = Buffer(*key, len(self.buffers), replicas)
                if key not in offsets:
                    offsets[key], origins = zip(*[self._reserve(buffer, p) for p in members])
                    firsts[key] = buffer.tensors, origins
                    buffer.tensors += len(members)
                self.segments.append(Segment(buffer, number, replica, members, offsets[key], *firsts[key]))

    @staticmethod
    def _reserve(buffer, p):
        place = buffer.size, buffer.span
        buffer.size += padded(local(p).numel())
        buffer.span += padded(p.numel())
        buffer.count += local(p).numel()
        return place

    def _adopt(self):
        for segment in self.segments:
            segment.views = True
            for p, view in zip(segment.params, segment.tensors("y")):
                view.copy_(p.detach())
                p.data = alone(view)
            segment.homes = [p.data_ptr() for p in segment.params]


def padded(count):
    """`count` rounded up to whole tiles, at least one."""
    return max(-(-count // TILE), 1) * TILE


def like(row, p, offset):
    """The part of a flat row that holds p, with p's shape and order in memory."""
    part = row[offset : offset + p.numel()]
    if p.is_contiguous() or not dense(p):
        return part.view(p.shape)
    return part.as_strided(p.shape, p.stride(), part.storage_offset())


def alone(view):
    """The same numbers in the same memory as a tensor whose storage is no larger than itself."""
    return torch.from_dlpack(view) if view.numel() else torch.empty_like(view)


def local(tensor):
    """The piece of a sharded tensor that lives here; a plain tensor as it is."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def spread(p, part):
    """The inverse of `local`: a local piece as the kind of tensor that p is."""
    if not hasattr(p, "to_local"):
        return part
    return type(p.data).from_local(part, p.device_mesh, p.placements, shape=p.shape, stride=p.stride())


def why_not_views(groups):
    """Why these parameters cannot become views of one buffer, or None."""
    params = [p for group in groups for p in group["params"] if p.numel()]
    for p in params:
        if type(p.data) is not torch.Tensor:
            return f"a parameter is a {type(p.data).__name__}"
        if not dense(p):
            return "a parameter has gaps in memory"
    spans = sorted((str(p.device), p.data_ptr(), p.data_ptr() + p.numel() * p.element_size()) for p in params)
    if any(a[0] == b[0] and b[1] < a[2] for a, b in zip(spans, spans[1:])):
        return "parameters share memory"
    stores = [p.untyped_storage().data_ptr() for p in params if p.device.type != "cpu"]
    return None if len(set(stores)) == len(stores) else "parameters are views of one buffer already (a cuDNN RNN)"


def dense(p):
    """Whether p fills its memory without gaps or repeats, in any order of its axes."""
    expected = 1
    for stride, length in sorted((s, n) for s, n in zip(p.stride(), p.shape) if n > 1):
        if stride != expected:
            return False
        expected *= length
    return True
