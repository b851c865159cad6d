# What the jobs of indexes, cells and methods ask for and are told. No rules.


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


def search_threads(wildcards, input):
    """Threads of a job that searches, by the size of the database: asked again before the job, when its files are there."""
    try:
        return 1 if bytes_of(input, SEARCHED) <= SMALL_DATABASE else 2
    except FileNotFoundError:
        return 2


def gpus_of_search(wildcards):
    """GPUs of a job that searches: one where it uses one; on a cluster, where only its nodes know, if the config says so."""
    index_type = index_type_of(wildcards.index, config["indexes"][wildcards.index])
    device = config["search"]["device"]
    return int(wants_gpu(index_type, device) if LOCAL else device == "gpu")


def search_mb(rule):
    """Memory of a job that builds or searches an index: by the database's size, unless the index stays on the disk."""

    def resource(wildcards, input, attempt):
        index_type = index_type_of(wildcards.index, config["indexes"][wildcards.index])
        base, per_mb = MEMORY["on_disk" if index_type.on_disk else rule]
        return scale_with_input(base, per_mb, of=SEARCHED)(wildcards, input, attempt)

    return resource


def method_options(wildcards):
    """A method's options, its type among them."""
    return {"type": wildcards.name, **config["methods"][wildcards.name]}


def answering(wildcards):
    """The method of a job, as the config has it."""
    return method_of(wildcards.name, config["methods"][wildcards.name])


def method_inputs(wildcards):
    """The files that a method's answers depend on, as input; a sentence if it cannot work here."""
    method = answering(wildcards)
    cell = grid.CellKey(f"method={wildcards.name}", "", query_set_of(wildcards))
    if problems := [*said(method.check), *filter(None, [why_left_out(cell)])]:
        raise WorkflowError(*(f"methods.{wildcards.name}: {problem}" for problem in problems))
    return method.inputs


def answered_queries(wildcards):
    """The packed queries of a cell, as input."""
    check_queries(query_set_of(wildcards))
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
    return content_of(
        str(SCRIPTS / "answer.py"), *(one for one in modules("answer", SCRIPTS) if one not in {*others, registry})
    )


def query_set_of(wildcards):
    """The query set that a cell is for."""
    return wildcards.queries.removeprefix("queries=").removesuffix("/") or grid.FILES


def split_of_set(name):
    """The split that holds a query set."""
    return "test_query" if name == grid.FILES else f"query_{name}"


def query_split(wildcards):
    """The split that holds the queries of a cell."""
    return split_of_set(query_set_of(wildcards))


def about_queries(wildcards):
    """What a cell says of its queries, unless they are the data set's own."""
    if not wildcards.queries:
        return {}
    chain = config["query_sets"][query_set_of(wildcards)]
    return {"query_set": query_set_of(wildcards), "snr_db": grid.snr_of(chain), "query_chain": chain}
