"""Variants of one optimizer as subclasses, chosen by an argument."""

__all__ = ["Varied"]


class Varied:
    """An optimizer with variants: subclasses, declared with `variant="name"`, that its argument `variant` chooses.

    default_averaging: of a variant that averages, where the user gives none.
    """

    variants: dict[str, type] = {}  # one of its own in each optimizer
    default_averaging = 0.75

    def __init_subclass__(cls, variant=None, **rest):
        super().__init_subclass__(**rest)
        if variant is None:
            cls.variants = {}
        else:
            cls.variants[variant] = cls

    def __new__(cls, *args, variant="thesis", **settings):
        return super().__new__(cls.variants.get(variant, cls))

    @classmethod
    def kind(cls):
        return next(c.__name__ for c in cls.__mro__ if c not in cls.variants.values())
