"""Music and sounds of any kind, imported from the user's folders."""

from collections.abc import Mapping

from nafp.datasets.sources.source import Source, Steps

OPTIONS = {"own": {"$ref": "#/$defs/own"}}


def queries(config: Mapping) -> tuple[Mapping[str, Steps], int]:
    """The chain of all queries, which is that of the demo's test queries unless another is given, and its seed."""
    own = config["dataset"]["own"]
    steps = own.get("queries", config["demo"]["queries"]["test"])
    return {"val": steps, "test": steps}, own.get("seed", 0)


OWN = Source("music of any kind", OPTIONS, required=("own",), maker="import_audio", queries=queries)
