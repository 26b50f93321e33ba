"""What the optimizers share: settings, the state machine of two loops, eval/train, complete state dicts.

After `loss.backward()` one `opt.step()` is one inner update, and every `inner_steps`-th also the outer one.
"""

from contextlib import contextmanager

import torch
from torch.autograd import profiler
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from pdelab.checks import choice
from pdelab.networks.optimizers import engines
from pdelab.networks.optimizers.buffers import Layout
from pdelab.networks.optimizers.settings import (
    check_loss,
    check_parameters,
    check_settings,
    drawn_seed,
    finite_loss,
)
from pdelab.networks.optimizers.states import WEIGHTS, Stored
from pdelab.networks.optimizers.thermal import INNER_BITS, tick
from pdelab.networks.optimizers.update import Rule

__all__ = ["FlatOptimizer", "watched"]

SAME = ("inner_steps", "replicas", "seed", "variant", "engine", "form", "order", "period", "resampled")


def watched():
    """Whether a profiler or a global hook wants to see optimizer steps."""
    return profiler._is_profiler_enabled or _global_optimizer_pre_hooks or _global_optimizer_post_hooks


class FlatOptimizer(Stored, Optimizer):
    """A torch optimizer on flat rows. Subclasses give `rule` (the inner update) and `outer`, and name `outer_row`.

    As with torch's optimizers, a parameter without a gradient stays as it is: in an inner update where it has none, and
    in an outer one where it had none in the whole loop. The weights that `eval()` shows have no batch-norm statistics:
    those in the model are of the inner weights, and `update_bn(model, batches, optimizer)` collects the others.

    Settings of every subclass, keyword only:
        seed, where there is noise: a number is its key; None draws one from torch's generator at construction (on rank
            0 where torch.distributed runs), so that `torch.manual_seed` rules it as it does dropout.
        maximize: ascend instead of descend.
        engine: "auto" takes "fused" (one compiled pass, CPU, float32 or float64), on a GPU "triton" (one launch, the
            same numbers), else "torch" (eager, flat), else "foreach" (tensor by tensor, where parameters cannot be
            views of one buffer); "compiled" is torch.compile with fullgraph=True on the inner update. Under
            torch.compile of the training step nothing needs to be set: the one pass runs between its graphs ("torch"
            becomes part of them). The last three need one more number a parameter for the flat gradient, and one for
            the noise where there is any. On an accelerator gradients
            that are not finite are found at outer steps only, since looking means waiting, and only by optimizers whose
            inner loop leaves the outer weights alone, which go back to them: with the others look at the loss. In a
            compiled step they are never found.
    """

    outer_row: str | None = None  # the row that eval() shows; None: the parameters are the outer weights
    protected = True  # the inner loop leaves the outer weights alone
    traceable = True  # a graph of torch.compile may hold a step
    process_group = None  # of torch.distributed, on whose ranks it runs; None: all there are
    steady = False  # the rule depends on the outer step by schedules only
    numbers = None  # in a loop that is recorded: the numbers that the device reads

    def __init__(self, params, defaults):
        params = list(params)
        if not params:
            raise ValueError("params: expected at least one tensor, got none: does the model have weights?")
        self._layout = self._stash = None
        self.clock = {"outer_step": 0, "inner_step": 0}  # a dictionary: torch.compile loses attributes set in step()
        common = {"maximize": False, "engine": "auto", "replicas": 1}
        own = common | defaults | {"kind": self.kind()}
        self._required = {*own, *self.clock}
        super().__init__(params, own)
        if any(group.get("temperature") or group.get("coupling") for group in self.param_groups):
            self.seed()
        self._build()
        self._collect()

    @classmethod
    def kind(cls):
        """The name under which its states are stored."""
        return cls.__name__

    # settings

    def add_param_group(self, param_group):
        """Add parameters with settings of their own; the state of the others is kept.

        Parameters
        ----------
        param_group : dict
            "params" and settings of their own, as for torch.optim.Optimizer.

        Raises
        ------
        ValueError
            Settings that are refused: the group is not added.
        """
        super().add_param_group(param_group)
        try:
            self._check(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise
        if self._layout is not None:
            with self._in_training():
                self.rebuild()
                self.welcome([s for s in self._layout.segments if s.group == len(self.param_groups) - 1])

    def welcome(self, segments):
        """What a group that joins late needs beside its rows.

        Parameters
        ----------
        segments : list of Segment
            The group's own.
        """

    def _check(self, group):
        check_settings(group)
        choice("engine", group["engine"], engines.NAMES)
        check_parameters(group["params"], group["replicas"])
        head = self.param_groups[0]
        if group.get("seed", 0) is None:
            group["seed"] = head["seed"]
        for name in SAME:
            if name in group and group[name] != head[name]:
                raise ValueError(f"{name}: expected the same in every group, got {head[name]!r} and {group[name]!r}")
        if group.get("inner_steps", 1) >> INNER_BITS:
            raise ValueError(f"inner_steps: expected a number below 2^{INNER_BITS}, got {group['inner_steps']}")

    # memory

    def _build(self):
        head = self.param_groups[0]
        with torch.no_grad():
            self._layout = Layout(self.param_groups, head["replicas"], views=head["engine"] != "foreach")
        self._rules = {}
        self._laid_out = [(group["params"], len(group["params"])) for group in self.param_groups]
        for segment in self._layout.segments:
            segment.engine = engines.chosen(head["engine"], segment, self._layout.reason)
            segment.make([*segment.engine.scratch, *self.row_names(self.param_groups[segment.group])])
        self._by_torch = any(segment.engine.by_torch for segment in self._layout.segments)

    def row_names(self, group):
        """The rows in use: made early, so that a checkpoint and torch.compile(opt.step) see them all.

        Parameters
        ----------
        group : dict
            A parameter group.

        Returns
        -------
        list of str
        """
        rule = self.rule(group, 0, 0)
        extra = {"noise": rule.heat, "outer_m": group.get("outer_momentum"), self.outer_row: self.outer_row}
        return [*rule.rows.values(), *(name for name, used in extra.items() if used)]

    @torch.no_grad()
    def rebuild(self):
        """Lay the memory out again, after the model was moved or its weights were exchanged; the state is kept.

        A parameter whose memory was exchanged keeps the value it has now; where that is another value than the
        optimizer's, not only another type or place, its loop starts again there. Raises ValueError where its shape
        changed.
        """
        shown = "y" if self._stash is None or not self._shows_other_weights() else self.outer_row
        with self._in_training():
            self._publish()
            exchanged = self._exchanged(shown)
            for p in exchanged:
                self.state[p].update({name: p.detach().clone() for name in self.state[p].keys() & {*WEIGHTS, "y"}})
            self._build()
            self._collect()
            self._adopted(exchanged)
        return self

    def _exchanged(self, shown):
        """The parameters that got other values in other memory than the row `shown` has."""
        exchanged = []
        for segment in self._layout.segments:
            if not segment.views:
                continue
            for p, home, value in zip(segment.params, segment.homes, segment.tensors(shown)):
                if p.shape != value.shape:
                    raise ValueError(
                        f"parameters: expected the shapes the optimizer was built with, got {tuple(p.shape)} for "
                        f"{tuple(value.shape)}: build a new optimizer"
                    )
                if p.data_ptr() != home and not torch.equal(p.detach(), value.to(p)):
                    exchanged.append(p)
        return exchanged

    def _adopted(self, exchanged):
        """Told by `rebuild` which parameters start again at values of their own."""

    @contextmanager
    def _in_training(self):
        """The inner weights in the model; afterwards the outer ones again where those were shown."""
        evaluating = self._stash is not None
        self._end_eval()
        try:
            yield
        finally:
            if evaluating:
                self.eval()

    def _traceable(self):
        return self.traceable and all(segment.engine.traceable for segment in self._layout.segments)

    # the state machine

    @property
    def outer_steps(self):
        """Number of outer steps taken."""
        return self.clock["outer_step"]

    @property
    def inner_step(self):
        """Number of gradients consumed in the present loop."""
        return self.clock["inner_step"]

    def loop_length(self):
        """Number of gradients an outer step takes."""
        return self.param_groups[0].get("inner_steps", 1)

    def zero_grad(self, set_to_none=True):
        """Clear the gradients of all parameters, to None by default."""
        if set_to_none and not watched():
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = None
        else:
            super().zero_grad(set_to_none)

    def step(self, closure=None):
        """One inner update from the present gradients, and the outer one when the loop is full.

        closure: optional; called once, with gradients enabled; clears and fills the gradients and returns the loss, or
        a tuple that starts with it; what it returns is returned. Raises ValueError at a loss or gradient that is not
        finite, RuntimeError in eval mode.
        """
        if torch.compiler.is_compiling() and not self._traceable():
            return _eager_step(self, closure)
        if self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or watched():
            return _observed_step(self, closure)
        return self._step(closure)

    # torch would wrap it for hooks and profiler at a third of the cost of a small network's step
    step.hooked = True  # type: ignore[attr-defined]

    def _step(self, closure):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
            self._check_loss(loss)
        if self._stash is not None:
            raise RuntimeError("step() in eval mode, with the outer weights in the model: call opt.train() first")
        self._advance()
        return loss

    def _check_loss(self, loss):
        shards = [p for segment in self._layout.segments if segment.sharded for p in segment.params]
        if shards:
            fine = finite_loss(loss)
            if not engines.agreed(shards, fine) and fine:
                raise engines.refused_elsewhere("the loss")
        check_loss(loss)

    def _advance(self):
        clock, segments = self.clock, self._layout.segments
        outer, inner = clock["outer_step"], clock["inner_step"]
        if inner == 0:
            self._check_groups()
            for segment in segments:
                segment.start_loop()
        try:
            self.inner(outer, inner)
        except ValueError as error:
            for segment in segments:
                segment.written()
            if not self._abandon(inner):
                raise
            raise ValueError(f"{error} (the inner loop starts again at the outer weights)") from None
        if inner + 1 < self.loop_length():
            clock["inner_step"] = inner + 1
        else:
            if self.protected and self.numbers is None:
                self._check_loop(segments)
            self.outer(outer)
            clock["inner_step"], clock["outer_step"] = 0, outer + 1
        for segment in segments:
            segment.written()

    def _check_groups(self):
        """Raise RuntimeError where a group holds other parameters than those that were laid out."""
        for group, (params, count) in zip(self.param_groups, self._laid_out):
            if group["params"] is not params or len(params) != count:
                raise RuntimeError(
                    "the parameters of a group were exchanged: build a new optimizer for them, or join them by "
                    "add_param_group"
                )

    def inner(self, outer, inner):
        """The inner update on every segment; nothing changes when a gradient is of the wrong kind.

        Parameters
        ----------
        outer, inner : int
            Outer steps taken, gradients consumed in this loop.
        """
        segments = self._layout.segments
        if self._by_torch:
            with torch.no_grad():
                self._update(segments, outer, inner)
        else:
            self._update(segments, outer, inner)

    def _update(self, segments, outer, inner):
        for segment in segments:
            segment.engine.collect(segment)
            if inner == 0 or not (self.protected and segment.engine.finds_on_the_way):
                segment.engine.check(segment)
        for segment in segments:
            rule = self.present_rule(segment.group, outer, inner)
            address = self.address(segment, outer, inner) if rule.heat else None
            numbers = None if self.numbers is None else self._rule_there(segment.group, outer, inner)
            segment.engine.apply(segment, rule, address, numbers)
            segment.release()

    def present_rule(self, number, outer, inner):
        """`rule`, kept as long as the group's settings and the outer step stay the same."""
        group = self.param_groups[number]
        if torch.compiler.is_compiling():
            return self.rule(group, outer, inner)
        place, settings = (number, inner == 0), (*group.values(),)
        known, date, kept = self._rules.get(place, (None, None, None))
        try:
            same = known == settings
        except RuntimeError:  # of tensors compared with others
            self._check_groups()
            raise
        if same and (date is None or date == outer):
            return kept
        rule = self.rule(group, outer, inner)
        if not any(isinstance(value, torch.Tensor) for value in settings):  # tensors change in place
            rule = kept if rule == kept else rule  # the same object, whose packed form is kept too
            steady = self.steady and not any(map(callable, settings))
            self._rules[place] = settings, None if steady else outer, rule
        return rule

    def amount(self, outer, function, *settings):
        """function(*settings, outer), a number of an outer update; in a recorded loop the device reads it."""
        if self.numbers is None:
            return function(*settings, outer)
        later = outer - self.clock["outer_step"]
        return self.numbers.real(lambda t: [function(*settings, t + later)])[0]

    def _rule_there(self, number, outer, inner):
        """The numbers of `present_rule` on the device, in a loop that is recorded."""
        group, start = self.param_groups[number], inner == 0
        return self.numbers.real(lambda t: self.rule(group, t, inner).amounts, (number, start))

    def address(self, segment, outer, inner):
        """(seed, stream, tick) of a segment's noise; in a loop that is recorded the device holds the tick."""
        when = self.moment(outer, inner)
        if self.numbers is not None:
            later = outer - self.clock["outer_step"]
            when = self.numbers.whole(lambda t: [self.moment(t + later, inner)])[0]
        return self.seed(), self.stream(segment), when

    def moment(self, outer, inner):
        """The noise's tick.

        Parameters
        ----------
        outer, inner : int
            Outer steps taken, gradients consumed in this loop.

        Returns
        -------
        int
        """
        return tick(outer, inner)

    def rule(self, group, outer, inner):
        """The numbers of this group's inner update.

        Parameters
        ----------
        group : dict
            A parameter group.
        outer, inner : int
            Outer steps taken, gradients consumed in this loop.

        Returns
        -------
        Rule
        """
        return Rule(rate=0.0)

    def outer(self, outer):
        """The outer update on every segment.

        Parameters
        ----------
        outer : int
            Outer steps taken.
        """

    def seed(self):
        """Key of the noise, drawn now where none was given."""
        key = self.param_groups[0].get("seed", 0)
        if key is None:
            key = drawn_seed(self.process_group)
            for settings in (self.defaults, *self.param_groups):
                settings["seed"] = key
        return key

    def stream(self, segment):
        """Second key of the noise: the buffer and the replica."""
        return segment.buffer.number | (segment.replica + self.first_replica()) << 8

    def first_replica(self):
        """Number of the first replica held here."""
        return 0

    def _check_loop(self, segments):
        """Where looking at numbers means waiting, the inner weights are checked once a loop, before x changes."""
        if not all(segment.engine.healthy(segment) for segment in segments):
            self._abandon(1)
            self._forget()
            raise ValueError("gradients were not finite in this loop, which starts again at the outer weights")

    @torch.no_grad()
    def _forget(self):
        """Momentum and average as before a loop: not every variant starts them anew, and they may not be finite."""
        for segment in self._layout.segments:
            if "m" in segment.buffer.rows:
                torch._foreach_zero_(segment.lists("m"))
            if "z" in segment.buffer.rows:
                segment.write("z", "x")

    @torch.no_grad()
    def _abandon(self, inner):
        """After a bad gradient: back to the outer weights, which the inner loop has not touched."""
        if not self.protected or inner == 0:
            return False
        for segment in self._layout.segments:
            segment.write("y", "x")
            segment.written()
        self.restart()
        return True

    def restart(self):
        """Start a new loop at the model's present weights, after they were changed from outside."""
        self.clock["inner_step"] = 0

    # the outer weights in the model

    def eval(self):
        """Put the outer weights into the model, for evaluation and for deployment; undone by train()."""
        if self._stash is None:
            self._check_homes()
            self._stash = {}
            if self._shows_other_weights():
                for number, segment in enumerate(self._layout.segments):
                    self._stash[number] = segment.saved("y")
                    segment.write("y", self.outer_row)
                    segment.written(segment.whole)
        return self

    def train(self, mode=True):
        """Put the weights of the inner loop back; train(False) is eval()."""
        if not mode:
            return self.eval()
        if self._stash is not None:
            self._check_homes()
        return self._end_eval()

    def _check_homes(self):
        """Raise RuntimeError where parameters lie in other memory than the optimizer's."""
        for segment in self._layout.segments:
            engines.check_home(segment)

    def _end_eval(self):
        if self._stash is not None:
            for number, values in self._stash.items():
                self._layout.segments[number].restore("y", values)
                self._layout.segments[number].written(self._layout.segments[number].whole)
            self._stash = None
        return self

    def _shows_other_weights(self):
        return self.outer_row is not None and self.inner_step > 0

    def _moving(self):
        """(segment, its group) of the segments that have parameters with a gradient in the present loop."""
        for segment in self._layout.segments:
            if segment.seen is segment.whole or any(segment.active):
                yield segment, self.param_groups[segment.group]

    @contextmanager
    def outer_weights(self):
        """`with opt.outer_weights():` evaluates at the outer weights and comes back to the loop."""
        was_training = self._stash is None
        self.eval()
        try:
            yield self
        finally:
            if was_training:
                self.train()


_observed_step = Optimizer.profile_hook_step(FlatOptimizer._step)
_eager_step = torch.compiler.disable(FlatOptimizer.step)
