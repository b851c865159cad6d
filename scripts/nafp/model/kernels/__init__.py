"""Triton kernels of the encoder for a GPU: a convolution along one axis, its activation and layer norm, both ways.

Training is limited by memory traffic. The norms cover up to 524,288 elements of an item, so eager PyTorch moves every
activation some twenty times a step. Here a layer reads and writes it 13 times in all, and the first layer, which holds 46 %
of all activations, six times: its convolution is computed again wherever it is needed instead of being stored. A
convolution is a matrix product over rows of channels, one row for each item, frequency and time, without padding copies.

Names: ``y`` is what a convolution gives, ``a`` its activation and ``z`` what the layer gives. ``ELU``: ``a = elu(y)`` and
``z = norm(a)``, the model variant "release"; otherwise ``a = y`` and ``z = relu(norm(a))``, the variant "paper".

Sums run in float32, and no kernel uses atomics: the same input gives the same bits on the same GPU. The eager path of
``nafp.model.encoders.separable_network`` defines what is right (tests/unit/test_kernels.py). On a GPU they were measured by
benchmarks/gpu.py.
"""
