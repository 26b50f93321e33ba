"""The authors' variants: the algorithm boxes as printed (`variant="paper"`) and their code ("official").

Sources: Chaudhari et al., 1611.01838, Algorithm 1 and `optim.py` of its repository; 1707.00424 and its `parle_mpi.py`;
Zhang, Choromanska, LeCun 2015. What each changes stands in the docstring of the optimizer it belongs to.
"""

import torch

from pdelab.networks.optimizers.buffers import local
from pdelab.networks.optimizers.entropy import EntropySGD, accelerate, loop_rule, outer_rate
from pdelab.networks.optimizers.replicas import ElasticSGD, Parle
from pdelab.networks.optimizers.settings import inverse
from pdelab.networks.optimizers.update import add, number

__all__ = ["OfficialElasticSGD", "OfficialEntropySGD", "OfficialParle", "PaperEntropySGD", "PaperParle"]


class PaperEntropySGD(EntropySGD, variant="paper"):
    """The elastic force gets momentum, and the outer step keeps its factor: x ← x - (η/γ) N(x - z)."""

    def rule(self, group, outer, inner):
        return loop_rule(group, outer, inner, inside=True)

    def _rate(self, group, outer):
        return number(group["lr"]) * inverse(group["gamma"], outer)


class OfficialEntropySGD(EntropySGD, variant="official"):
    """Each loop starts with a gradient that moves nothing; weight decay acts on the outer direction too."""

    default_averaging = 0.25

    def loop_length(self):
        return self.param_groups[0]["inner_steps"] + 1

    def rule(self, group, outer, inner):
        """Heavy ball is momentum's own buffer there, and what is added to it, pull and noise, stays in it."""
        rule = loop_rule(group, outer, inner)
        if not rule.momentum or group["nesterov"]:
            return rule
        heat = rule.heat / rule.rate if rule.rate else 0.0  # of the noise in a gradient
        return rule._replace(inside=True, field=True, heat=heat)

    def inner(self, outer, inner):
        if inner == 0:
            self._discard(outer)
        else:
            super().inner(outer, inner - 1)

    @torch.no_grad()
    def _discard(self, outer):
        """The extra gradient at x: it only fills the outer momentum buffer, once."""
        for segment in self._layout.segments:
            segment.engine.collect(segment)
            segment.engine.check(segment)
            segment.write("x", "y")
            group = self.param_groups[segment.group]
            if outer == 0 and group["outer_momentum"]:
                sign = -1.0 if group["maximize"] else 1.0
                for buffer, p in zip(segment.tensors("outer_m"), segment.params):
                    if p.grad is not None:
                        buffer.copy_(sign * local(p.grad))
                if not all(bool(torch.isfinite(buffer).all()) for buffer in segment.lists("outer_m")):
                    raise ValueError("the first gradient was not finite: nothing was updated")

    def _direction(self, segment, group, x):
        direction = super()._direction(segment, group, x)
        if group["weight_decay"]:
            add(direction, x, group["weight_decay"])
        return direction


class OfficialElasticSGD(ElasticSGD, variant="official"):
    """The force acts once a period, after its last plain step, on replicas and master from the old values."""

    def rule(self, group, outer, inner):
        return super().rule(group, outer, inner)._replace(pull=0.0)

    def inner(self, outer, inner):
        super(ElasticSGD, self).inner(outer, inner)

    @torch.no_grad()
    def outer(self, outer):
        means = self._means()
        for segment, group in self._moving():
            y = segment.moving("y")
            add(y, torch._foreach_sub(y, segment.moving("master")), self.amount(outer, self._pull, group), -1.0)
        for segment in self._layout.segments:
            group = self.param_groups[segment.group]
            self.move_master(segment, means, self.amount(outer, self._share, group))

    @staticmethod
    def _pull(group, outer):
        return number(group["lr"]) * inverse(group["rho"], outer)

    def _share(self, group, outer):
        rate = number(group["lr"]) if group["master_lr"] is None else group["master_lr"]
        return self.communicator.replicas * rate * inverse(group["rho"], outer)


class PaperParle(Parle, variant="paper"):
    """(5.8) as printed: N takes the whole bracket in (5.8a), γ⁻¹ stands in (5.8c), the master averages the old x^a."""

    default_order = "jacobi"

    def rule(self, group, outer, inner):
        return loop_rule(group, outer, inner, inside=True)

    def _from_average(self, segment, group, x, outer):
        direction = super()._from_average(segment, group, x, outer)
        torch._foreach_mul_(direction, self.amount(outer, inverse, group["gamma"]))
        return direction


class OfficialParle(Parle, variant="official"):
    """Look-ahead 1 in both loops, momentum and average never reset, x^a ← y_L - η N[…] with the mean of z as master."""

    default_averaging = 0.25

    def rule(self, group, outer, inner):
        start = outer == 0 and inner == 0
        ahead = 1.0 if group["nesterov"] and group["momentum"] else 0.0
        return loop_rule(group, outer, inner, inside=True, fresh=start, reset=start, ahead=ahead)

    @torch.no_grad()
    def outer(self, outer):
        old = self._old_means()
        self._replace_master(self._means("z"))
        for segment, group in self._moving():
            x = segment.moving("x")
            direction = self._direction(segment, group, x, outer)
            direction = accelerate(segment, direction, group, ahead=1.0 if group["nesterov"] else None)
            torch._foreach_copy_(x, segment.moving("y"))
            add(x, direction, self.amount(outer, outer_rate, group), -1.0)
        self._replace_master(old or self._means("x"))
        for segment in self._layout.segments:
            segment.write("y", "x")

    def _replace_master(self, means):
        for segment in self._layout.segments:
            self.move_master(segment, means, None)
