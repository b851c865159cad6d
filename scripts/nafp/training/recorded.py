"""Work of a GPU, recorded once as a CUDA graph and replayed for every batch.

Eager PyTorch launches some hundreds of kernels a step, which for small models and batches takes longer than their execution. A
replay is one launch.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

WARM_UP = 3  # calls before the recording, in which libraries choose and compile their kernels


class Recorded:
    """A recorded call of a function that computes gradients of ``parameters`` from one tensor of a fixed shape.

    The gradients keep their memory from call to call: they must not be set to None in between.
    """

    def __init__(
        self, function: Callable[[Tensor], tuple[Tensor, ...]], given: Tensor, parameters: Iterable[nn.Parameter]
    ):
        self.given = given.to("cuda", copy=True)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(self.given)
        torch.cuda.current_stream().wait_stream(side)
        for parameter in parameters:
            parameter.grad = None  # so that the recorded call writes gradients instead of adding to them
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.results = function(self.given)

    def __call__(self, given: Tensor) -> tuple[Tensor, ...]:
        """The results of the function; ``given`` may be in pinned memory."""
        self.given.copy_(given, non_blocking=True)
        self.graph.replay()
        return tuple(result.clone() for result in self.results)
