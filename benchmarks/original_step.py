"""A training step of the original code's network in Keras: one step for each line of standard input, answered by its seconds.

python benchmarks/original_step.py WIDTH N THREADS, in an environment of its own (`pip install tensorflow-cpu==2.15.1 'numpy<2'`);
benchmarks/cpu_step.py starts it. The layers, the norm over frequency, time and channels, NT-Xent at a temperature of 0.05 and
Adam are those of the original; images are random, so it has no data to prepare.
"""

import argparse
import os
import sys
import time
from typing import Any

MELS, FRAMES, DIM, TEMPERATURE = 256, 32, 128, 0.05
CHANNELS, TIME_STRIDES = (1, 1, 2, 2, 4, 4, 8, 8), (2, 2, 2, 2, 1, 2, 1, 2)


def network(tf: Any, width: int) -> Any:
    """The Keras model: (B, 256, 32, 1) images -> (B, 128) unit vectors."""
    layers = tf.keras.layers
    given = x = layers.Input((MELS, FRAMES, 1))
    for factor, stride in zip(CHANNELS, TIME_STRIDES, strict=True):
        for kernel, strides in (((1, 3), (1, stride)), ((3, 1), (2, 1))):
            x = layers.Conv2D(factor * width, kernel, strides, padding="same")(x)
            x = layers.LayerNormalization(axis=[1, 2, 3])(layers.ELU()(x))
    heads = [layers.Dense(1)(layers.Dense(32, "elu")(part)) for part in tf.split(layers.Flatten()(x), DIM, axis=1)]
    return tf.keras.Model(given, tf.math.l2_normalize(tf.concat(heads, axis=1), axis=1))


def nt_xent(tf: Any, org: Any, rep: Any) -> Any:
    """The loss of (n, d) anchors and their replicas."""
    n = len(org)
    own = -1e9 * tf.eye(n)
    cross = tf.matmul(org, rep, transpose_b=True) / TEMPERATURE
    rows = (cross, org), (tf.transpose(cross), rep)
    logits = [tf.concat([to, tf.matmul(x, x, transpose_b=True) / TEMPERATURE + own], axis=1) for to, x in rows]
    labels = tf.range(n)
    return tf.add_n([tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, one)) for one in logits])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("width", "bsz", "threads"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf  # a package that the project's environment lacks

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model, adam = network(tf, options.width), tf.keras.optimizers.Adam(1e-4)
    images = tf.random.stateless_normal((options.bsz, MELS, FRAMES, 1), seed=(0, 0))

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            vectors = model(images, training=True)
            loss = nt_xent(tf, vectors[: options.bsz // 2], vectors[options.bsz // 2 :])
        adam.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return loss

    step()
    print(model.count_params(), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        step().numpy()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
