# What the jobs of the data set ask for and are told. No rules.


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


def manifest_named(wildcards):
    """The manifest that the config names, as input of verify; a sentence if it is missing."""
    file = DATA.get("manifest")
    if file and not Path(file).is_file():
        raise WorkflowError(
            f"dataset.manifest: {file}: no such file; name the manifest.csv of a good copy, or leave it out"
        )
    return file or []


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


def own_sources(own):
    """All folders that a data set of one's own is made of; a sentence if one is not there or has no audio."""
    if problems := said(check_folders, own):
        raise WorkflowError(*problems)
    return [folder for role in OWN_ROLES for _, folder in folders_of(own.get(role) or {})]
