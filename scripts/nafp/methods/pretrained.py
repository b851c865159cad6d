"""A neural network that somebody else trained, as the config's ``pretrained`` names it (`nafp.pretrained`); an index searches its
fingerprints."""

from nafp.methods.interface import Method


class Pretrained(Method):
    """pretrained=NAME."""

    axis = "pretrained"
    fields = ("pretrained",)
    searched = True
    network = True
    epoch = "last"
