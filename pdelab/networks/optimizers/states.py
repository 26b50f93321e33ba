"""Complete states: what a checkpoint holds, in plain types, and how a run goes on from it bit for bit."""

import torch

from pdelab.networks.optimizers.buffers import SCRATCH, alone, like, local, spread
from pdelab.networks.schedules import from_plain, to_plain

__all__ = ["Stored", "WEIGHTS"]

NOT_ROWS = {"seen", "base", "begun"}  # what a parameter's state holds beside numbers of its own shape
WEIGHTS = ("x", "z", "master")  # rows that hold weights: where nothing is stored they start at the parameters


class Stored:
    """State dicts, copies and pickles of an optimizer on flat rows, which `self.state` shows parameter by parameter."""

    def state_dict(self):
        """Everything a run needs to go on bit for bit at any inner step, in plain types; the inner weights y too."""
        self._show()
        state = super().state_dict()
        for group in state["param_groups"]:
            group.update({name: to_plain(value) for name, value in group.items() if name != "params"})
            group.update(self.clock)
        return state

    def _show(self):
        """What a checkpoint takes from `self.state`."""
        self._publish()

    def load_state_dict(self, state_dict):
        """Continue a run: sets the parameters to the stored inner weights, so load the model first.

        Raises ValueError, and changes nothing, when the state is of another optimizer or another model.
        """
        self._check_state(state_dict)
        evaluating, self._stash = self._stash is not None, None
        engine = self.param_groups[0]["engine"]
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            self.clock.update({name: group.pop(name) for name in self.clock})
            group.update({name: from_plain(value) for name, value in group.items() if name != "params"})
            group["engine"] = engine  # belongs to this process, not to the run
        self._rules = {}
        self._collect()
        if evaluating:
            self.eval()

    def __getstate__(self):
        self._publish()
        own = ("clock", "base", "communicator", "independent", "process_group", "_required")
        extra = {name: self.__dict__[name] for name in own if name in self.__dict__}
        return super().__getstate__() | extra | {"_evaluating": self._stash is not None}

    def __setstate__(self, state):
        evaluating = state.pop("_evaluating", False)
        super().__setstate__(state)
        if "_layout" not in self.__dict__:
            self._layout = self._stash = None
            self._build()
            self._collect()
            if evaluating:
                self.eval()

    def _check_state(self, state_dict):
        if not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(
                f"state_dict: expected that of an optimizer, 'state' and 'param_groups', got {list(state_dict)}"
            )
        if len(state_dict["param_groups"]) != len(self.param_groups):
            raise ValueError(
                f"state_dict: expected {len(self.param_groups)} groups, got {len(state_dict['param_groups'])}"
            )
        for ours, theirs in zip(self.param_groups, state_dict["param_groups"]):
            missing = self._required - set(theirs)
            if missing or theirs.get("kind") != ours["kind"]:
                raise ValueError(f"the state is not one of {ours['kind']} (missing: {sorted(missing) or 'its kind'})")
            if theirs.get("variant") != ours.get("variant"):
                raise ValueError(f"variant: expected a state of {ours['variant']!r}, got {theirs.get('variant')!r}")
            if len(ours["params"]) != len(theirs["params"]):
                counts = len(theirs["params"]), len(ours["params"])
                raise ValueError("state_dict: expected {1} parameters, got {0}: it is of another model".format(*counts))
            for number, p in zip(theirs["params"], ours["params"]):
                for name, value in state_dict["state"].get(number, {}).items():
                    if isinstance(value, torch.Tensor) and value.shape != p.shape:
                        raise ValueError(
                            f"state_dict: expected {name} of parameter {number} of shape {tuple(p.shape)}, "
                            f"got {tuple(value.shape)}: it is of another model"
                        )

    def _publish(self):
        """Show the rows as `self.state`, one dictionary a parameter."""
        for number, segment in enumerate(self._layout.segments):
            names = [name for name in segment.buffer.rows if name not in (*SCRATCH, "y")]
            rows = {name: segment.own(name) for name in names} | {"y": self._inner_weights(number, segment)}
            for k, p in enumerate(segment.params):
                self.state[p] = {name: rows[name][k] for name in rows} | {"seen": segment.seen[k]}

    def _inner_weights(self, number, segment):
        """The inner weights, tensor by tensor, in either mode."""
        if not self._stash:
            return segment.own("y")
        values = self._stash[number]
        if not segment.views:
            return [spread(p, value) for p, value in zip(segment.params, values)]
        return [alone(like(values[0], p.data, k - segment.start)) for p, k in zip(segment.params, segment.offsets)]

    @torch.no_grad()
    def _collect(self):
        """Take `self.state` into the rows; a row of weights without a stored value starts at the parameters."""
        for segment in self._layout.segments:
            stored = [self.state.get(p, {}) for p in segment.params]
            segment.seen = tuple(values.get("seen", 2 if values else 0) for values in stored)
            segment.seen = segment.whole if segment.seen == segment.whole else segment.seen
            names = {name for values in stored for name in values} | set(segment.buffer.rows) - set(SCRATCH)
            for name in sorted(names - NOT_ROWS, key=lambda name: name != "y"):
                for k, values in enumerate(stored):
                    target = segment.tensors(name)[k]
                    if name in values:
                        target.copy_(local(values[name]))
                    elif name != "y":
                        target.copy_(segment.tensors("y")[k]) if name in WEIGHTS else target.zero_()
            segment.written(segment.whole)
        self._publish()
