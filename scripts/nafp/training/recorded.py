"""A training step's forward and backward pass on a GPU, recorded once and replayed as one CUDA graph.

Eager PyTorch launches some 600 kernels a step. For small models and batches that takes the CPU longer than the GPU takes to
do them; a replay is one launch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nafp.training.gradients import backward

WARM_UP = 3  # passes before the recording, in which libraries choose and compile their kernels


class RecordedBackward:
    """``gradients.backward`` of a whole batch in one piece and one process: the same call with the same results.

    The gradients of ``parameters`` stay where they are from call to call: they must not be set to None in between.
    """

    def __init__(
        self,
        embed: Callable[[Tensor], Tensor],
        loss_of: Callable[[Tensor], Tensor],
        parameters: list[nn.Parameter],
        images: Tensor,
    ):
        self.images = images.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                backward(embed, self.images, loss_of)
        torch.cuda.current_stream().wait_stream(side)
        for parameter in parameters:
            parameter.grad = None  # so that the recorded pass writes gradients instead of adding to them
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss, self.embeddings = backward(embed, self.images, loss_of)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, mels, frames) -> the loss and all embeddings; the gradients of the parameters are those of this batch."""
        self.images.copy_(images)
        self.graph.replay()
        return self.loss.clone(), self.embeddings.clone()
