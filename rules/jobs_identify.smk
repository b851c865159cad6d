# What the jobs identify and ship ask for and are told. No rules.
IDENTIFIED = f"{RESULTS}/identify/{label(config.get('queries') or 'nothing')}"  # the answers to a folder of recordings


def own_folders():
    """The folders of songs and of recordings that the target identify works on; a sentence if they are no such folders."""
    if not (config.get("library") and config.get("queries")):
        raise WorkflowError("identify: say what to search: --config library=FOLDER queries=FOLDER")
    library, _ = named_folder(str(config["library"]), config["identify"]["library"])
    queries = os.path.expanduser(str(config["queries"]))
    try:
        check_places(library, [queries])
    except UserError as error:
        raise WorkflowError(f"identify: {error}") from None
    return library, queries


def identified_by(file):
    """A file of the run that identifies, as input: its folders are looked at before a run is trained for them."""

    def path(wildcards):
        own_folders()
        return f"{RESULTS}/runs/{IDENTIFYING_RUN}/epoch={IDENTIFYING_EPOCH}.{file}"

    return path


def limits_of_identifying(wildcards):
    """The limits of the run that identifies, as input; nothing if its weights carry them."""
    fields = fields_of(IDENTIFYING_RUN)
    weights = config["pretrained"][fields["pretrained"]].get("weights") if "pretrained" in fields else None
    return (
        identified_by("limits.json")(wildcards) if weights is None or limits_in(weights_file(weights)) is None else []
    )


def identify_task(wildcards):
    """What to identify, with which limits."""
    options = options_in(config["identify"])
    _, name = named_folder(str(config["library"]), config["identify"]["library"])
    about_index = {"index_options": config["indexes"][options.index]}
    task = {"recordings": [own_folders()[1]], "name": name, "epoch": IDENTIFYING_EPOCH, **about_index}
    return task | vars(options)


def states_of_own_folders(wildcards):
    """The states of the folders that identify works on: what makes it run again."""
    return list(map(folder_signature, own_folders()))


def identify_paths(wildcards):
    """Where songs, model and fingerprints are."""
    store = config["identify"]["store"] or f"{RESULTS}/identify/library"
    return {"library": own_folders()[0], "run": f"{RESULTS}/runs/{IDENTIFYING_RUN}", "store": os.path.expanduser(store)}


def measured_cells():
    """The cells that a model card shows: the default run's, and those of the same weights on other data."""
    own = grid.path_of(grid.CellKey(DEFAULT_RUN, config["search"]["index"]), EPOCH)
    return [f"{RESULTS}/scores/{own}", *config["ship"]["measured"]]


def about_training_data():
    """What a model card says of the data that the default run was trained on."""
    if DATA["source"] != "demo":
        return f"The data set {DATASET}, of the source {DATA['source']}."
    demo = config["demo"]
    return (
        f"{demo['songs']['train']:,} songs of {demo['clip_s']:g} s that a program composed (`nafp.demo`, seed {demo['seed']}), degraded by "
        f"composed noises, impulse responses and babble ({demo['sounds']} times as many as the demo has): nobody's recordings. "
        "Songs, noises and responses of the tests are others, also composed, unless the table names another data set."
    )
