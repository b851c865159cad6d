"""Fingerprints made elsewhere, as the config's ``external`` names them (`nafp.search.exchange`); an index searches them."""

from nafp.methods.interface import Method


class External(Method):
    """external=NAME."""

    axis = "external"
    fields = ("external",)
    searched = True
    epoch = "last"
