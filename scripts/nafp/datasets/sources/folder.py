"""A folder in the layout of the paper's data set, wherever it lies."""

from nafp.datasets.sources.source import Source

FOLDER = Source("lies unpacked in root", required=("root",))
