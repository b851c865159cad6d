"""A neural network that the workflow trains; an index searches its fingerprints."""

from nafp.methods.interface import Method


class Trained(Method):
    """A run of these fields, like aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0."""

    fields = ("aug", "bsz", "dim", "loss", "recipe", "seed")
    searched = True
    trained = True
    network = True
