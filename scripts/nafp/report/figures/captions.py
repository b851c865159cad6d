"""The figures of the scoreboard, by name, and what the page says of each. Planning reads this file."""

# Over a field that a study varies
OVER_FIELDS = {
    "bsz": "Does a larger batch help? Exact hits of the shortest and the longest queries.",
    "dim": "How small may a fingerprint be? Exact hits of the shortest and the longest queries.",
    "aug": "What does the augmentation add? Exact hits of the shortest and the longest queries, by chain.",
    "snr_db": "How loud may the noise be? Exact hits of the shortest and the longest queries; to the left is more noise.",
}
OF_STUDIES = {
    "hit_rate": "How much audio does a query need? Exact hits are solid; near ones, a segment (0.5 s) off at most, dashed.",
    **OVER_FIELDS,
    "strengths": "How much is too much? Hit rates over the strength of each degradation; half of the queries are found above the "
    "dotted line.",
    "open_set": "Can an answer be believed? Right songs accepted, over the queries of unknown songs that are accepted too.",
    "costs": "Which index is worth its time and size? Higher and further to the left is better.",
}
# Caption of hit_rate where it is drawn as differences
DIFFERENCES = "Do they differ? Exact hits, less those of the baseline; above the dotted line is better."
CAPTIONS = {
    **OF_STUDIES,
    "learning": "Was training long enough? It was where both curves are flat. Validation searches without an index.",
    "misses": "Where do wrong answers lie? Best answers to the shortest queries, run by run.",
    "similarity": "Can segments of one song be told apart? They can where the diagonal is bright and the rest is dark.",
    "beyond": "How far can the data be trusted? Predicted hit rates of the shortest and the longest queries; the first points "
    "are the data.",
    "scale": "What would a larger database do? Points are measured, lines fitted (log odds over log size).",
}
