"""The idioms the demo composer speaks: scales, chord progressions, forms, rhythms, and who may play what.

Patterns are strings, one character a sixteenth note: `.` holds what sounds, `-` is silence. In tonal patterns a digit
is a tone of the chord (0 root, 1 third, 2 fifth, 3 seventh or octave), `a` the tone that leads to the next root and `x`
the whole chord, or a note of the tune. In drum patterns `x` is an accent, `o` a stroke, `g` a ghost note.
"""

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
PROGRESSIONS = (  # degrees of the scale, one chord a bar; two in a bracket share the bar
    ((0,), (4,), (5,), (3,)),  # the pop song
    ((5,), (3,), (0,), (4,)),
    ((0,), (5,), (3,), (4,)),  # doo-wop
    ((0,), (6,), (5,), (4,)),  # Andalusian
    ((0, 4), (5, 2), (3, 0), (3, 4)),  # Pachelbel
    ((1,), (4,), (0,), (0,)),  # ii-V-I
    ((1, 4), (0, 5), (1, 4), (0,)),  # rhythm changes
    ((0,), (0,), (3,), (0,), (4,), (3,), (0,), (4,)),  # short blues
    ((0,), (6,), (0,), (6,)),  # modal vamp
    ((0,), (2,), (3,), (3,)),
    ((0,), (6,), (3,), (0,)),  # rock
    ((5,), (4,), (3,), (4,)),
    ((0,), (3, 4), (5,), (3, 4)),
    ((3,), (4, 2), (5,), (0,)),  # royal road
    ((0,), (0,), (5,), (6,)),
)
FORMS = (
    ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus"),
    ("verse", "verse", "bridge", "verse", "chorus"),
    ("chorus", "verse", "chorus", "break", "chorus"),
    ("intro", "chorus", "break", "verse", "chorus"),
    ("break", "verse", "bridge", "chorus", "chorus"),
    ("verse", "chorus", "bridge", "chorus", "break"),
)
LEVELS = {"intro": 0.65, "verse": 0.8, "chorus": 1.0, "bridge": 0.75, "break": 0.6}
LINEUPS = {  # section -> instruments that may play; the song chooses among them
    "intro": ("comp", "arp", "pad", "bass"),
    "verse": ("bass", "drums", "comp", "arp", "melody"),
    "chorus": ("bass", "drums", "comp", "arp", "pad", "melody", "counter"),
    "bridge": ("bass", "drums", "pad", "arp", "melody", "counter"),
    "break": ("drums", "pad", "arp", "comp"),
}
HARMONY = ("comp", "arp", "pad")
STEADIEST = ("pad", "arp", "bass", "comp")  # roles, the one that rests least first
BAR_STEPS = {"4/4": 16, "3/4": 12, "6/8": 12}
BEAT_STEPS = {"4/4": 4, "3/4": 4, "6/8": 6}
GROOVES = {
    "4/4": (
        {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
        {"kick": "x.....x.x.......", "snare": "....x..g....x..g", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "x...x...x...x...", "clap": "....x.......x...", "open": "..x...x...x...x."},
        {"kick": "x..x..x...x.....", "snare": "....x..g.g..x..g", "hat": "xgogxgogxgogxgog"},
        {"kick": "x.....o...x.....", "snare": "....x..g.g..x...", "hat": "x.o.x.oox.o.x.o."},
        {"kick": "x.....xox.....xo", "rim": "x..x..x...x..x..", "shaker": "ogogogogogogogog"},
        {"kick": "x.........x.....", "snare": "........x.....g.", "ride": "x...o...x...o.o."},
        {"kick": "x.........xo....", "snare": "....x..g.g..x.g.", "ride": "x.o.x.o.x.o.x.o."},
        {"kick": "x.....x...o.....", "clap": "......x.....x...", "hat": "o.ooo.ooo.oooooo"},
        {"tom3": "x..x..x.x..x..x.", "tom2": "....o.......o.o.", "shaker": "x.o.x.o.x.o.x.o."},
    ),
    "3/4": (
        {"kick": "x...........", "snare": "....o...o...", "hat": "x.o.x.o.x.o."},
        {"kick": "x.......o...", "rim": "....x...x...", "ride": "x...x.o.x..."},
        {"kick": "x.....o.....", "snare": "........x..g", "shaker": "ogogogogogog"},
    ),
    "6/8": (
        {"kick": "x.........o.", "snare": "......x.....", "hat": "x.o.o.x.o.o."},
        {"kick": "x.....x.....", "rim": "..x...x.x...", "shaker": "xgogogxgogog"},
        {"kick": "x...o.......", "clap": "......x.....", "ride": "x.o.o.x.o.o."},
    ),
}
BASS_LINES = {
    "4/4": (
        "0.......0.......", "0.....0.2.......", "0.0.0.0.0.0.0.0.", "0.-.0.-.0.-.0.a.", "0...1...2...a...",
        "0-3-0-3-0-3-0-3-", "0..0..2...3.2.a.", "0.......2.....a.", "0--0----0-3-2---", "--0.--0.--0.--0.",
        "0.....3...2.0.a.",
    ),
    "3/4": ("0...........", "0.......a...", "0...2...2...", "0.0.2.0.2.a.", "0-----2-3-2-"),
    "6/8": ("0.....2.....", "0...0.2...a.", "0.1.2.3.2.1.", "0.....0-2-a-"),
}  # fmt: skip
COMPS = {
    "4/4": (
        "x.......x.......", "x...x...x...x...", "--x.--x.--x.--x.", "x..x..x...x..x..", "x.....x.....x...",
        "x-x-x-x-x-x-x-x-", "----x..-----x..-", "x..x..-.x..x..-.", "x.......--x.x...", "x-xx-xx-x-xx-xx-",
    ),
    "3/4": ("x...........", "----x...x...", "x...x...x...", "x.....x...x.", "x-x-x-x-x-x-"),
    "6/8": ("x.....x.....", "x...x.x...x.", "--x.x.--x.x.", "x-x-x-x-x-x-"),
}  # fmt: skip
ARPEGGIOS = {
    "4/4": (
        "0.1.2.3.2.1.2.1.", "0.2.1.2.0.2.1.2.", "0123012301230123", "3.2.1.0.3.2.1.0.", "0..1..2..3..2.1.",
        "0.2.3.2.0.2.3.2.", "0.12-.3.2.10-.2.", "0-2-31-20-2-31-2",
    ),
    "3/4": ("0.1.2.3.2.1.", "0...2...3...", "012321012321", "0..2..3..2.."),
    "6/8": ("0.1.2.3.2.1.", "0.2.1.3.2.1.", "012321012321", "3.1.2.0.1.2."),
}  # fmt: skip
TUNES = {  # rhythms of melodies; the pitches are the motif's own
    "4/4": (
        "x...x...x...x...", "x.x.x...x.x.x...", "x.....x.x.......", "--x.x.x.x...x...", "x..x..x.....x...",
        "x.xxx.x.x.......", "x.......--x.x.x.", "----x.x.x.x.x...", "x...x.x.--x.xxx.", "x..xx..xx.......",
        "x.x.--x.x.x.--x.", "x...........x.x.",
    ),
    "3/4": ("x.......x...", "x...x...x...", "x.x.x.x.x...", "--x.x.x.x...", "x.....x.x.x.", "x..xx...x.x."),
    "6/8": ("x.....x.....", "x...x.x...x.", "x.x.x.x.....", "x.x.x.x.x.x.", "--x.x.x...x."),
}  # fmt: skip
ENSEMBLE = {  # role -> (instruments, range of the lowest MIDI note of its octave, gain)
    "bass": (("finger bass", "saw bass", "square bass", "fm bass", "piano"), (31, 38), 0.9),
    "comp": (
        ("piano", "guitar", "muted guitar", "organ", "electric piano", "tine piano", "horns", "banjo"),
        (52, 60), 0.35,
    ),
    "arp": (
        ("harp", "guitar", "marimba", "square lead", "glass", "vibraphone", "banjo", "tine piano", "bell"),
        (60, 72), 0.4,
    ),
    "pad": (("strings", "choir", "warm pad", "organ", "horns"), (54, 64), 0.22),
    "melody": (
        ("flute", "clarinet", "sax", "trumpet", "violin", "voice", "saw lead", "square lead", "piano", "vibraphone",
         "bell", "guitar", "electric piano"),
        (64, 76), 0.75,
    ),
    "counter": (("clarinet", "strings", "violin", "horns", "bell", "electric piano", "voice"), (59, 69), 0.35),
}  # fmt: skip
DRUM_GAINS = {
    "kick": 0.9, "snare": 0.7, "clap": 0.7, "rim": 0.5, "hat": 0.3, "open": 0.3, "shaker": 0.25, "ride": 0.3,
    "crash": 0.35, "tom1": 0.7, "tom2": 0.7, "tom3": 0.8,
}  # fmt: skip
FORCE = {"x": 1.0, "o": 0.6, "g": 0.25}
