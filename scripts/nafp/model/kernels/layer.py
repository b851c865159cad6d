"""One layer of the encoder, convolution, activation and norm, as one differentiable function."""

import torch
from torch import Tensor, nn

from nafp.model.kernels.norm import WHOLE_ITEM, Preactivation, norm_gradients, normalise
from nafp.model.kernels.products import Axis, convolve, input_gradient, weight_gradient


def layer(x: Tensor, conv: nn.Module, norm: nn.Module, dtype: torch.dtype) -> Tensor:
    """x (B, F, T, c_in) -> z (B, F', T', c_out) of ``dtype``: ``norm(conv(x))`` of the modules of encoders.separable_network.

    An x of one channel is a float32 image that needs no gradient.
    """
    _, freq, time, _ = x.shape
    if conv.axis == 1:
        axis = Axis(1, time, freq, conv.out_length, conv.stride[0], conv.before)
    else:
        axis = Axis(freq, 1, time, conv.out_length, conv.stride[1], conv.before)
    weights = conv.weight, conv.bias, norm.norm.weight, norm.norm.bias
    with torch.cuda.device_of(x):  # Triton launches on the current device; autograd sets it for gradients
        return Layer.apply(x, *weights, axis, norm.release, norm.norm.eps, dtype)


class Layer(torch.autograd.Function):
    """``layer``."""

    @staticmethod
    def forward(ctx, x, weight, bias, scale, shift, axis: Axis, elu: bool, epsilon: float, dtype: torch.dtype):
        first, moments = x.shape[-1] == 1, None
        flat = weight.permute(0, 2, 3, 1).flatten(1)  # (c_out, 3 * c_in): no copy
        if first:
            y = x.float().contiguous()
        else:
            flat = flat.to(dtype)
            y, moments = convolve(x.flatten(1, 2), flat, bias, axis, elu, scale.numel() > WHOLE_ITEM)
        z, mean, rstd = normalise(Preactivation(y, flat, bias, axis, elu, first), moments, scale, shift, epsilon, dtype)
        ctx.save_for_backward(None if first else x, y, flat, bias, scale, shift, mean, rstd)
        ctx.axis, ctx.elu, ctx.shape = axis, elu, weight.shape
        return z

    @staticmethod
    def backward(ctx, dz):
        x, y, flat, bias, scale, shift, mean, rstd = ctx.saved_tensors
        before = Preactivation(y, flat, bias, ctx.axis, ctx.elu, x is None)
        dy, dscale, dshift, db = norm_gradients(dz.contiguous(), before, mean, rstd, scale, shift)
        dx = None
        if x is None:
            dw = dy
        else:
            dx = input_gradient(dy, flat, ctx.axis).view_as(x) if ctx.needs_input_grad[0] else None
            dw = weight_gradient(x.flatten(1, 2), dy, ctx.axis)
        c_out, c_in, *taps = ctx.shape
        dw = dw.reshape(c_out, *taps, c_in).permute(0, 3, 1, 2)
        return dx, dw, db, dscale, dshift, None, None, None, None
