"""The augmentation chains of a config, wherever they stand in it, and what in them cannot be right."""

from collections.abc import Mapping, Sequence

from nafp.augment.steps import STEPS, names_of, rates_of
from nafp.datasets.sources import dataset_of


def chains_of(config: Mapping) -> dict[str, Sequence[Mapping]]:
    """Where a chain stands in the config -> its steps, of all chains."""
    places = {
        f"{section}.{name}": steps for section in ("chains", "query_sets") for name, steps in config[section].items()
    }
    places |= {f"demo.queries.{name}": steps for name, steps in config["demo"]["queries"].items()}
    own = own_of(config)
    return places | ({"dataset.own.queries": own["queries"]} if "queries" in own else {})


def own_of(config: Mapping) -> Mapping:
    """The folders of somebody's own music that a data set is made of; empty for every other source."""
    return dataset_of(config).get("own", {})


def reversed_ranges(config: Mapping) -> list[str]:
    """Ranges in chains that end below their beginning, one sentence each."""
    return [
        f"{place}.{number}.{step}.{option}: {value} ends below its beginning; the smaller number comes first"
        for place, steps in chains_of(config).items()
        for number, one in enumerate(steps)
        for step, settings in one.items()
        for option, value in (settings or {}).items()
        if is_range(value) and value[0] > value[1]
    ]


def misplaced_steps(config: Mapping) -> list[str]:
    """Steps of chains that could do nothing, or nothing right, where they are, one sentence each."""
    problems = []
    for place, steps in chains_of(config).items():
        names = names_of(steps)
        masks = [name for name in names if STEPS[name].stage == "image"]
        if masks and not place.startswith("chains."):
            problems.append(f"{place}: take out {', '.join(masks)}: masks act on log-mel images, but queries are sound")
        twice = [name for name in dict.fromkeys(names) if STEPS[name].unique and names.count(name) > 1]
        problems += [f"{place}: {name} acts once, but is there {names.count(name)} times" for name in twice]
        first = next((number for number, name in enumerate(names) if STEPS[name].stage == "wave"), len(names))
        late = [name for name in names[first:] if STEPS[name].stage == "time"]
        problems += [
            f"{place}: {name} acts before all other steps on sound; put it in front of {names[first]}" for name in late
        ]
        if rates_of(steps) != (1, 1) and place.startswith(("demo.", "dataset.")):
            problems.append(
                f"{place}: its speed or tempo would make queries of other lengths than their songs; make them a query set "
                "(query_sets), which has a time map"
            )
    return problems


def empty_bands(config: Mapping) -> list[str]:
    """Filters ``band_pass`` whose band could be empty, one sentence each."""
    usual = {name: option["default"] for name, option in STEPS["band_pass"].options.items() if "default" in option}
    bands = {
        f"{place}.{number}.band_pass": {**usual, **(one["band_pass"] or {})}
        for place, steps in chains_of(config).items()
        for number, one in enumerate(steps)
        if "band_pass" in one
    }
    return [
        f"{place}: low_hz up to {band['low_hz'][1]:g} and high_hz from {band['high_hz'][0]:g} on leave no band between them"
        for place, band in bands.items()
        if band["low_hz"][1] >= band["high_hz"][0]
    ]


def is_range(value: object) -> bool:
    """Whether an option of a step is a pair of numbers."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, (int, float)) for part in value)
