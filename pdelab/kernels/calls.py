"""Calls of compiled functions by their addresses: the caller holds no copy of what it calls, and compiles faster."""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["address_of", "by_address"]


def address_of(function, arguments):
    """The address of a jitted function for arguments of these Numba types; it is good in this process alone."""
    function.compile(arguments)
    compiled = function.overloads[arguments]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def by_address(returns, arguments):
    """call(address, *arguments) for jitted functions of these Numba types; read-only arrays pass, too.

    arguments : tuple of types, or a function of those of a call that gives it
    """

    @intrinsic
    def call(typing, address, *given):
        (given,) = given if len(given) == 1 and isinstance(given[0], tuple) else (given,)
        wanted = arguments(given) if callable(arguments) else arguments

        def codegen(context, builder, signature, values):
            kind = context.call_conv.get_function_type(returns, wanted)
            function = builder.inttoptr(values[0], kind.as_pointer())
            parts = [builder.extract_value(values[1], k) for k in range(len(wanted))]
            status, result = context.call_conv.call_function(builder, function, returns, wanted, parts)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value() if returns == types.void else result

        return returns(types.intp, types.Tuple([types.unliteral(kind) for kind in given])), codegen

    return call
