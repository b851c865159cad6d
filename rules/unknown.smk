# Targets that no other rule makes: planning ends with a sentence that says what is known.
TARGETS = [*(rule.name for rule in workflow.rules if not rule.output), "identify", "export", "list_queries", "ship"]
GIVEN = [str(TEST_IDS), *(str(sections_of(name)["train"]["init_from"]) for name in config["recipes"]), *os.listdir()]
CELL = rf"epoch=({EPOCHS})/{QUERIES}({INDEXES}|extrapolation)\.[a-z.]+$"
ANSWERS = rf"method=({'|'.join(config['methods']) or 'none'})/{QUERIES}answers\.[a-z.]+$"  # cells without an index
BELOW_RUNS = rf"(runs|fingerprints|indexes)/(?!({RUNS})/)|scores/(?!({RUNS})/{CELL}|{ANSWERS})"
UNKNOWN_TARGET = rf"(?!({'|'.join(map(re.escape, GIVEN))})$)([a-z][a-z0-9_]*|{re.escape(RESULTS)}/({BELOW_RUNS}).+)"


rule unknown_target:
    """No target: what is asked for by mistake."""
    input:
        refuse_target,
    output:
        "{target}",
    wildcard_constraints:
        target=UNKNOWN_TARGET,
    localrule: True
