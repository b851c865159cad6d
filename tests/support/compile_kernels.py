"""Compile the encoder's kernels for an H100, which needs no GPU: what the interpreter accepts, the compiler may not.

PYTHONPATH=scripts python tests/support/compile_kernels.py: one line a kernel, with its shared memory.
"""

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nafp.model.kernels import norm_kernels, products

H100 = GPUTarget("cuda", 90, 32)
SHARED_MEMORY = 232_448  # bytes of a block
LAYER = {"inner": 16, "length_in": 256, "length_out": 128, "stride": 2, "before": 0, "c_in": 128, "c_out": 128}
TAPS = {"first_tap": 0, "taps": 3}
FIRST = {"length_in": 32, "length_out": 16, "stride": 2, "before": 0}
STORED = {"length_in": 1, "length_out": 1, "stride": 1, "before": 0}
FLOATS = {"moments", "bias", "scale", "shift", "mean_of", "rstd_of", "sums", "of_norm", "of_bias", "dw", "image"}
DIVISIBLE = {"size", "rows", "channels"}  # multiples of 16


def compiled(kernel, constants: dict, dtype: str, first: bool = False, warps: int = 8) -> int:
    """Compile a kernel for activations of a dtype (``bf16``, ``fp32``) and return its bytes of shared memory."""
    signature, attributes = {}, {}
    for number, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
            continue
        pointer = name in FLOATS or name in ("x", "y", "z", "w", "dx", "dy", "dz", "source", "out")
        plain = "fp32" if name == "epsilon" else "i32"
        float32 = name in FLOATS or (first and name in ("source", "w", "out", "dy"))
        signature[name] = ("*fp32" if float32 else f"*{dtype}") if pointer else plain
        if pointer or name in DIVISIBLE:
            attributes[(number,)] = [["tt.divisibility", 16]]
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel, signature, places, attributes)
    return compile_kernel(source, target=H100, options={"num_warps": warps, "num_stages": 3}).metadata.shared


def cases():
    """(name, kernel, constants, dtype, whether of the first layer, warps) of what a training of the full model compiles."""
    for dtype, precision, depth in (("bf16", "tf32x3", 64), ("fp32", "tf32", 32), ("fp32", "tf32x3", 32)):
        tile = {"PRECISION": precision, "WIDE": dtype == "fp32", "BM": 128, "BN": 128, "BK": depth}
        name = f"{dtype}, {precision}"
        yield f"convolve {name}", products._convolve, LAYER | tile | {"MOMENTS": True, "ELU": True}, dtype, False, 8
        yield f"input gradient {name}", products._input_gradient, LAYER | TAPS | tile, dtype, False, 8
        tile = {"PRECISION": precision, "WIDE": False, "BM": depth, "BO": 128, "BI": 128}
        yield f"weight gradient {name}", products._weight_gradient, LAYER | TAPS | tile, dtype, False, 8
    for first, shape in ((False, {"R": 8, "C": 256}), (True, {"R": 16, "C": 128})):
        flags = {"FIRST": first, "ELU": True} | (FIRST if first else STORED) | shape
        name = "first" if first else "stored"
        yield f"normalise {name}", norm_kernels.normalise_kernel, flags | {"WHOLE": False}, "bf16", first, 8
        yield f"norm sums {name}", norm_kernels.norm_sums_kernel, flags | {"WHOLE": False}, "bf16", first, 8
        yield f"norm gradient {name}", norm_kernels.norm_gradient_kernel, flags, "bf16", first, 8
    whole = {"FIRST": False, "ELU": False, "R": 1, "C": 8192, "WHOLE": True} | STORED
    yield "normalise whole", norm_kernels.normalise_kernel, whole, "bf16", False, 16
    yield "norm sums whole", norm_kernels.norm_sums_kernel, whole | {"sums": None}, "bf16", False, 16
    yield "moments", norm_kernels.moments_kernel, {"ELU": True, "BLOCK": 8192}, "bf16", False, 8
    first = FIRST | {"ELU": True, "EVEN": True, "R": 64, "C": 128}
    yield "first moments", norm_kernels.first_moments_kernel, first, "fp32", True, 4
    yield "join moments", norm_kernels.join_moments_kernel, {"PARTS": 16}, "fp32", False, 4


if __name__ == "__main__":
    for name, kernel, constants, dtype, first, warps in cases():
        shared = compiled(kernel, constants, dtype, first, warps)
        print(f"{name}: {shared} bytes of shared memory")
        assert shared <= SHARED_MEMORY, name
