# What the jobs of runs, their weights and fingerprints, ask for and are told. No rules.


def of_gpus(each):
    """A resource: ``each`` times the GPUs of the job's training."""

    def resource(wildcards):
        return each * recipe(wildcards)["train"]["gpus"]

    return resource


def training_memory(wildcards, input, attempt):
    """Memory of a training."""
    return int(attempt * training_mb(os.path.getsize(str(input.train)) / 1e6, recipe(wildcards)["train"]["gpus"]))


def training_minutes(wildcards, input):
    """How long a cluster lets a training run: no longer at a retry, since it resumes where it was interrupted."""
    train, packed_at = recipe(wildcards)["train"], os.path.getmtime(str(input.train))
    items = training_items(packed_at, train["data"]["fraction"], train["data"]["one_per_clip"])
    return int(60 + items * train["epochs"] / (ANCHORS_PER_S * train["gpus"] * 60))


@cache
def training_items(packed_at, fraction, one_per_clip):
    """Items of an epoch of the training split that was packed at a time; 0 if its clip table cannot be read, as the job says."""
    try:
        clips = read_clips(Path(packed("train")).with_suffix(".csv"))
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return most_items(clips["samples"], fraction, one_per_clip)


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
        before = parse_yaml(recorded.read_text(encoding="utf-8"))
        # without what may differ where a training is resumed
        was, now = (Settings(**settings).identity() for settings in (before, training_settings_of(run)))
        changed = overlay.differences(was, now)
    except (OSError, AttributeError, TypeError, yaml.YAMLError):
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
        if problems := said(check_init_from, settings["init_from"], settings):
            raise WorkflowError(*problems)
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
    """Audio of the largest shard of any split, in MB: all fingerprinting jobs request the same."""
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


def generated_number(name):
    """A parameter: the number of generated songs, or of samples of each; a sentence if the config asks for none."""

    def number(wildcards):
        if not GENERATED:
            raise WorkflowError("dataset.generated: asks for no distractors; config/rehearsal.yaml does")
        return {"songs": GENERATED["songs"], "samples": round(GENERATED["seconds"] * SAMPLE_RATE)}[name]

    return number


def shards_to_gather(wildcards):
    """The shards of the job's split, as input."""
    return shards_of(wildcards.run, wildcards.epoch, wildcards.split)
