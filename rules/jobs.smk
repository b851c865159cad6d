# What single rules ask for and are told. No rules.


def corpus(wildcards):
    """The folder of the data set's files; a function, so that braces in its name are no wildcards."""
    return CORPUS


def states_of_sources(wildcards):
    """The states of the folders that a data set of one's own is made of."""
    return own_states()


def states_of_recordings(wildcards):
    """The states of the folders of recordings; a sentence, before they are imported, if they are not as their source says."""
    if not Path(CORPUS, TIME_MAP).exists() and (problems := said(SOURCE.collect, DATA) + said(check_distractors, DATA)):
        raise WorkflowError(*(f"dataset: {problem}" for problem in problems))
    tables = {str(path): os.path.getmtime(path) for path in sorted(Path(DATA["folder"]).glob("*.csv"))}
    return [folder_signature(DATA["folder"]), folder_signature(DATA.get("distractors")), tables]


def manifest_of_split(wildcards):
    """The manifest, as input of packing; a sentence if the data set has no such split."""
    check_split(wildcards.split)
    return f"{RESULTS}/data/manifest.csv"


def check_split(split):
    """A sentence if the data set has no such split of music."""
    if split in MUSIC and split not in SOURCE.splits:
        raise WorkflowError(
            f"{DATASET}: has no split {split!r}: dataset.source: {DATA['source']} is to evaluate with; name runs that "
            "need no training here in the studies: pretrained=NAME, external=NAME or method=NAME"
        )


def steps_of_part(wildcards):
    """The chain that degrades the validation or test songs."""
    return QUERY_CHAINS[wildcards.part]


def pools_of_part(wildcards):
    """The kinds of sound that it mixes in."""
    return chain_pools(steps_of_part(wildcards))


def songs_of_part(wildcards):
    """The songs that it mixes in, as input."""
    return f"{CORPUS}/{SPLITS['train']}" if "train" in pools_of_part(wildcards) else []


def steps_of_set(wildcards):
    """The chain of a query set."""
    return config["query_sets"][wildcards.query_set]


def pools_of_set(wildcards):
    """The kinds of sound that it mixes in."""
    return chain_pools(steps_of_set(wildcards))


def sounds_of_set(wildcards):
    """The held-out sounds that it mixes in, as input."""
    return degrading_sounds(steps_of_set(wildcards))


def sounds_of_copies(wildcards):
    """The held-out sounds that augmented copies are made with, as input."""
    return degrading_sounds(config["chains"][config["augmented"]["aug"]])


def of_gpus(each):
    """A resource: ``each`` times the GPUs of the job's training."""

    def resource(wildcards):
        return each * recipe(wildcards)["train"]["gpus"]

    return resource


def training_minutes(wildcards, input, attempt):
    """How long a cluster lets a training run; what it has done until then is not lost."""
    segments = os.path.getsize(str(input.train)) / (2 * HOP)
    train = recipe(wildcards)["train"]
    return int(attempt * (60 + segments * train["epochs"] / (ANCHORS_PER_S * train["gpus"] * 60)))


def training_settings(wildcards):
    """All that a run is trained with (nafp.training.settings.Settings)."""
    return training_settings_of(wildcards.run)


@cache
def training_settings_of(run):
    """All that the run of this name is trained with."""
    fields = fields_of(run)
    sections = sections_of(fields["recipe"])
    options = dict(config["losses"][fields["loss"]])
    settings = {
        **{name: fields[name] for name in ("bsz", "dim", "loss", "seed")},
        **{name: value for name, value in sections["train"].items() if name != "gpus"},
        "features": sections["features"],
        "model": sections["model"],
        "chain": config["chains"][fields["aug"]],
        "positives": grid.positives(options),
        "loss_options": {name: value for name, value in options.items() if name != "positives"},
    }
    validation = dict(settings["validation"])
    queries = validation.pop("queries")
    return settings | {"validation": validation | {"chain": config["chains"].get(queries)}}


@cache
def say_of_retraining(run):
    """Say once that a run is trained again, in the place of one with other settings: its name does not say them."""
    recorded = Path(f"{RESULTS}/runs/{run}/config.yaml")
    if not (IS_MAIN and workflow.is_main_process and recorded.exists()):
        return
    try:
        before = yaml.safe_load(recorded.read_text(encoding="utf-8"))
        changed = overlay.differences(before, training_settings_of(run))
    except (OSError, AttributeError, yaml.YAMLError):
        return  # a damaged one, which says nothing
    if changed:
        keys = [f"train.{key}" if key.split(".")[0] in config["train"] else key for key in changed]
        print(
            f"{recorded.parent}: was trained with other settings ({', '.join(keys)}); it will be trained again in its place. "
            "A recipe (recipes: in the config) gives the other settings a name, which keeps both.",
            file=sys.stderr,
        )


def training_splits(wildcards):
    """What a training job reads, by the names it uses.

    train, val_db, val_query; the sounds of its chain: bg, ir, speech; those of its validation queries: val_bg, val_train, ...
    """
    check_split("train")
    settings = training_settings(wildcards)
    say_of_retraining(wildcards.run)
    splits = {name: packed(name) for name in ("train", "val_db", "val_query")}
    splits |= {pool: sounds(sounds_split(pool, "train")) for pool in chain_pools(settings["chain"])}
    held_out = chain_pools(settings["validation"]["chain"] or [])
    splits |= {f"val_{pool}": sounds(sounds_split(pool, "test")) for pool in held_out}
    if settings["init_from"]:
        splits["init_from"] = os.path.relpath(shipped().get(settings["init_from"], settings["init_from"]))
    return splits


def pretrained_options(wildcards):
    """Where weights of others come from; a sentence if that is not said, or their licence is not accepted."""
    name, options, accepted = wildcards.name, config["pretrained"][wildcards.name], config.get("accept_licence", [])
    accepted = [accepted] if isinstance(accepted, str) else accepted
    if problems := said(check_source, name, options) + said(check_licence, name, options, accepted):
        raise WorkflowError(*problems)
    return options


def pretrained_files(wildcards):
    """The user's files that weights of others are taken from, as input."""
    options = pretrained_options(wildcards)
    if "weights" in options:
        return str(weights_file(options["weights"]))
    if "checkpoint" in options:
        return f"{options['checkpoint']}.index"
    return options.get("archive", [])


def largest_piece_mb():
    """Audio of the largest shard of any split: all fingerprinting jobs ask for the same, so that they can be one array."""
    counts = config["fingerprint"]["shards"].items()
    sizes = [os.path.getsize(packed(split)) / count for split, count in counts if os.path.exists(packed(split))]
    return max(sizes, default=0) / 1e6


def fingerprint_mb(wildcards, attempt):
    """Memory of a fingerprinting job."""
    base, per_mb = MEMORY["fingerprint"]
    return attempt * int(base + per_mb * largest_piece_mb())


def fingerprint_minutes(wildcards, attempt):
    """How long a cluster lets a fingerprinting job run."""
    return attempt * int(30 + largest_piece_mb() * 1e6 / (2 * HOP * SEGMENTS_PER_S * 60))


def model_settings(wildcards):
    """What the weights of the job's run must be of; those of others say it themselves."""
    if not kind_of(wildcards.run).trained:
        return {}
    sections = recipe(wildcards)
    return {"features": sections["features"], "model": sections["model"], "dim": run_fields(wildcards)["dim"]}


def shard_numbers(wildcards):
    """Number of a job's shard, and of all; nothing for a whole split."""
    return [int(number) for number in re.findall(r"\d+", wildcards.shard)]


def shards_to_gather(wildcards):
    """The shards of the job's split, as input."""
    return shards_of(wildcards.run, wildcards.epoch, wildcards.split)


def external_options(wildcards):
    """The folder of somebody's fingerprints, or more about them."""
    return config["external"][wildcards.name]


def grid_of_run(wildcards):
    """How the fingerprints of the job's run divide a clip (nafp.search.external.Grid)."""
    return vars(grid_of(wildcards.run))


def index_options(wildcards):
    """The options of the job's index, with its type if that is not its name."""
    return config["indexes"][wildcards.index]


def building_options(wildcards):
    """The options that the job's index is built with."""
    return without_rates(index_options(wildcards))


def clips_of_queries(wildcards):
    """The clip table of a cell's queries, as input."""
    return str(Path(packed(query_split(wildcards))).with_suffix(".csv"))


def search_environment(wildcards):
    """The conda environment of a job that uses an index: Milvus Lite comes with a Faiss for the CPU only."""
    return f"../envs/{index_type_of(wildcards.index, config['indexes'][wildcards.index]).environment}.yaml"


def gpus_of_search(wildcards):
    """GPUs of a job that searches: one where it uses one; on a cluster, where only its nodes know, if the config says so."""
    index_type = index_type_of(wildcards.index, config["indexes"][wildcards.index])
    device = config["search"]["device"]
    local = workflow.resource_settings.nodes is None
    return int(wants_gpu(index_type, device) if local else device == "gpu")


def method_options(wildcards):
    """A method's options, its type among them."""
    return {"type": wildcards.name, **config["methods"][wildcards.name]}


def answering(wildcards):
    """The method of a job, as the config has it."""
    return method_of(wildcards.name, config["methods"][wildcards.name])


def method_inputs(wildcards):
    """The files that a method's answers depend on, as input; a sentence if it cannot work here."""
    method = answering(wildcards)
    cell = grid.CellKey(f"method={wildcards.name}", "", query_set_of(wildcards) or grid.FILES)
    if problems := [*said(method.check), *filter(None, [why_left_out(cell)])]:
        raise WorkflowError(*(f"methods.{wildcards.name}: {problem}" for problem in problems))
    return method.inputs


def answered_queries(wildcards):
    """The packed queries of a cell, as input."""
    check_queries(query_set_of(wildcards) or grid.FILES)
    return packed(query_split(wildcards))


def method_environment(wildcards):
    """The conda environment of a method's job."""
    return f"../envs/{answering(wildcards).environment}.yaml"


def method_code(wildcards):
    """Digest of the code that a method's answers depend on, which is not that of other methods."""
    own = type(answering(wildcards)).__module__
    others = {
        str(SCRIPTS / f"{kind.__module__.replace('.', '/')}.py") for kind in METHODS.values() if kind.__module__ != own
    }
    registry = str(SCRIPTS / "nafp/methods/__init__.py")
    return content_of(str(SCRIPTS / "answer.py"), *(one for one in modules("answer") if one not in {*others, registry}))


def query_set_of(wildcards):
    """The query set that a cell is for."""
    return wildcards.queries.removeprefix("queries=").removesuffix("/")


def split_of_set(name):
    """The split that holds a query set."""
    return "test_query" if name == grid.FILES else f"query_{name}"


def query_split(wildcards):
    """The split that holds the queries of a cell."""
    return split_of_set(query_set_of(wildcards) or grid.FILES)


def about_queries(wildcards):
    """What a cell says of its queries, unless they are the data set's own."""
    if not wildcards.queries:
        return {}
    chain = config["query_sets"][query_set_of(wildcards)]
    return {"query_set": query_set_of(wildcards), "snr_db": grid.snr_of(chain), "query_chain": chain}


def own_sources(own):
    """All folders that a data set of one's own is made of; a sentence if one is not there or has no audio."""
    if problems := said(check_folders, own):
        raise WorkflowError(*problems)
    return [folder for role in OWN_ROLES for _, folder in folders_of(own.get(role) or {})]


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
    options, index = config["identify"], config["identify"]["index"]
    names = ("min_score", "false_positives", "min_margin", "windows", "index", "exact_up_to")
    _, name = named_folder(str(config["library"]), options["library"])
    about_index = {"index_options": config["indexes"][index]}
    task = {"recordings": [own_folders()[1]], "name": name, "epoch": IDENTIFYING_EPOCH, **about_index}
    return task | {name: options[name] for name in names}


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


def refuse_target(wildcards):
    """Raise an error that says which part of a target is unknown."""
    raise WorkflowError(sentence_of_target(wildcards.target, TARGETS, config))
