"""Triton's interpreter, which runs kernels on a CPU, mended where it does not keep up with NumPy and bfloat16.

Must be imported before Triton is: ``TRITON_INTERPRET=1`` decides what ``triton.jit`` makes. conftest.py sees to it.
"""

import numpy as np
import triton.language as tl
import triton.runtime.interpreter as interpreter


def mend() -> None:
    """Let loops run to bounds that a kernel computes (NumPy 2.4 takes no 1-element arrays as integers), and products of
    bfloat16 matrices be those of their numbers, not of their bits."""
    patch, dot = interpreter._patch_lang_tensor, interpreter.InterpreterBuilder.create_dot

    def patch_with_index(tensor, scope) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def as_float32(handle):
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        return interpreter.TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    def dot_of_numbers(self, a, b, *rest):
        return dot(self, as_float32(a), as_float32(b), *rest)

    interpreter._patch_lang_tensor = patch_with_index
    interpreter.InterpreterBuilder.create_dot = dot_of_numbers
