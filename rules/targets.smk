# The names that a person types. No commands.


rule data:
    """The data set, checked and packed."""
    input:
        f"{RESULTS}/data/verification.json",
        REMOVED if SOURCE.bring else [],
        [packed(split) for split in SOURCE.splits],
    localrule: True


rule verification:
    """The data set, checked: against its manifest and published checksum too, if the config names them."""
    input:
        f"{RESULTS}/data/verification.json",
        REMOVED if SOURCE.bring else [],
    localrule: True


rule queries:
    """The query sets of the config, packed."""
    input:
        [packed(f"query_{name}") for name in config["query_sets"]],
    localrule: True


rule augmented:
    """Augmented copies of a split as WAV."""
    input:
        AUGMENTED,
    localrule: True


rule models:
    """Every run of every study, trained, with the limits for ``identify``."""
    input:
        sorted(
            f"{RESULTS}/runs/{run}/epoch={EPOCH}.{file}"
            for run in {run for study in STUDIES for run in runs_of(study)}
            for file in ("safetensors", "limits.json")
        ),
    localrule: True


rule pretrained:
    """The weights of others that the config names, downloaded, checked and converted."""
    input:
        [f"{RESULTS}/runs/pretrained={name}/epoch=last.safetensors" for name in config["pretrained"]],
    localrule: True


rule fingerprints:
    """The test fingerprints of every run."""
    input:
        sorted(
            {
                fingerprints_of(run, kind_of(run).epoch or EPOCH, split)
                for study in STUDIES
                for run in searched_runs_of(study)
                for split in TEST_SPLITS
            }
        ),
    localrule: True


rule scores:
    """Every cell of every study."""
    input:
        sorted({cell for study in STUDIES for cell in cells_of(study)}),
    localrule: True


rule scale:
    """How hit rate and search time change with the size of the database, and the hit rates beyond it."""
    input:
        f"{RESULTS}/scoreboard/scale.svg",
        f"{RESULTS}/scoreboard/beyond.csv",
        f"{RESULTS}/scoreboard/beyond.svg",
    localrule: True


for study in STUDIES:

    rule:
        """One study: its table and plots."""
        name:
            study
        input:
            study_files(study),
        localrule: True

    named = workflow.modifier.modify_rulename(study)
    if workflow.is_rule(named):  # not where this is a module of which other rules are used
        workflow.get_rule(named).docstring = STUDIES[study].get("question", f"The study {study}.")


for study in (study for study in CELLS if study not in STUDIES):

    rule:
        """A study of which nothing can be made here."""
        name:
            study
        input:
            refuse_study(study),
        localrule: True
