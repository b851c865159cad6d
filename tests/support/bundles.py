"""TensorFlow checkpoints of arrays, written without TensorFlow: as small as a test needs, with more than one block."""

from pathlib import Path

import google_crc32c
import numpy as np
import torch

from nafp.model.model import Model, build_model
from nafp.model.original_weights import BLOCK, HEAD, NMFP, VALUE

NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}
MAGIC = 0xDB4775248B80FB57
WIDTH, DIM = 4, 16  # of the models


def varint(value: int) -> bytes:
    groups = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def masked(data: bytes) -> bytes:
    found = google_crc32c.value(data)
    return ((((found >> 15) | (found << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def block(entries: list[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    """A block whose keys leave out what they share with the one before; every 16th is whole."""
    body, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(entries):
        if i % 16 == 0:
            restarts.append(len(body))
            before = b""
        shared = next(
            (n for n, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    body += b"".join(at.to_bytes(4, "little") for at in restarts) + len(restarts).to_bytes(4, "little")
    return body + bytes([compression]) + masked(body + bytes([compression]))


def write_bundle(prefix: Path, tensors: dict[str, np.ndarray], compression: int = 0, per_block: int = 40) -> Path:
    """``prefix``.index and ``prefix``.data-00000-of-00001 with the tensors; returns the prefix."""
    data, entries = b"", [(b"", number(1, 1))]
    for name, tensor in sorted(tensors.items()):
        raw = np.ascontiguousarray(tensor).tobytes()
        shape = b"".join(part(2, number(1, size)) for size in tensor.shape)
        place = number(4, len(data)) + number(5, len(raw)) + varint(6 << 3 | 5) + masked(raw)
        entries.append((name.encode(), number(1, NUMBERS[tensor.dtype.name]) + part(2, shape) + place))
        data += raw
    file, handles = b"", []
    for first in range(0, len(entries), per_block):
        some = entries[first : first + per_block]
        one = block(some, compression)
        handles.append((some[-1][0], varint(len(file)) + varint(len(one) - 5)))
        file += one
    unused = varint(len(file)) + varint(len(block([])) - 5)
    file += block([])
    index = block(handles)
    footer = unused + varint(len(file)) + varint(len(index) - 5)
    file += index + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")
    prefix.with_name(prefix.name + ".index").write_bytes(file)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    return prefix


def random_model(norm: bool, seed: int = 0) -> Model:
    """A model with random weights: the original NAFP's, with ``norm`` NMFP's, but narrow."""
    torch.manual_seed(seed)
    model = build_model(NMFP if norm else {}, {"width": WIDTH, "head_norm": norm}, DIM).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def tensors_of(model: Model, norm: bool) -> dict[str, np.ndarray]:
    """The parameters of a model here under the original's names."""
    found = {}
    for i, (conv, after) in enumerate(model.encoder.layers()):
        place, length = BLOCK.format(i // 2), ("1x3", "3x1")[i % 2]
        found[f"{place}/conv2d_{length}/kernel"] = conv.weight.permute(2, 3, 1, 0)
        found[f"{place}/conv2d_{length}/bias"] = conv.bias
        found[f"{place}/BN_{length}/gamma"], found[f"{place}/BN_{length}/beta"] = after.norm.weight, after.norm.bias
    heads, second = model.heads, 2 if norm else 1
    for q in range(DIM):
        found[f"{HEAD.format(q)}/layer_with_weights-0/kernel"] = heads.weight1[q]
        found[f"{HEAD.format(q)}/layer_with_weights-0/bias"] = heads.bias1[q]
        found[f"{HEAD.format(q)}/layer_with_weights-{second}/kernel"] = heads.weight2[q, :, None]
        found[f"{HEAD.format(q)}/layer_with_weights-{second}/bias"] = heads.bias2[q, None]
        if norm:
            found[f"model/div_enc/BN/{q}/gamma"] = heads.norm_weight[q]
            found[f"model/div_enc/BN/{q}/beta"] = heads.norm_bias[q]
    arrays = {name + VALUE: tensor.detach().numpy() for name, tensor in found.items()}
    return arrays | {f"optimizer/iter{VALUE}": np.array(7)}


def write_original(prefix: Path, norm: bool, seed: int = 0) -> Path:
    """The checkpoint of ``random_model``, as the originals' code writes them; returns the prefix."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    return write_bundle(prefix, tensors_of(random_model(norm, seed), norm))
