"""Loops over numbers that Numba compiles at their first call, and keeps, so that the next start takes no time for it.

    @compiled
    def total(values):
        ...

What is compiled lies where NUMBA_CACHE_DIR says, else in __pycache__ beside the source, else, where that cannot be written,
in the user's cache folder, else nowhere. A file there that is damaged, or that cannot be written, only costs the time to
compile again. That takes a second or two a hundred lines; what saves time:

* Call a function with the same types everywhere: each combination is compiled by itself. Integers read from an int32 array
  are other ones than int64; a variable that begins as a literal, `n = 0`, is one type more if it is passed on at once.
* Assign numbers, not slices: `row[:] = other_row` brings Numba's own code for shapes and its error messages along.
"""
import numba
from numba.core.caching import FunctionCache


class _ForgivingCache(FunctionCache):
    """Numba's cache of a function's machine code, in files that may be damaged, or impossible to write."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle may raise anything
            self._try(self.flush)
            return None

    def save_overload(self, sig, data):
        self._try(super().save_overload, sig, data)

    @staticmethod
    def _try(write, *args):
        try:
            write(*args)
        except OSError:  # disk full, no longer allowed, ...
            pass


def compiled(function):
    """Compile `function` at its first call, to run without Python's lock, so that threads run side by side."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
    try:
        dispatcher._cache = _ForgivingCache(function)
    except RuntimeError:  # no folder that can be written to
        pass
    return dispatcher
