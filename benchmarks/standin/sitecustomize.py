"""Stand-in for what jobs compute: with this folder on PYTHONPATH, the script of a rule is replaced by ``rehearsed.stand_in``.

Python imports a ``sitecustomize`` as it starts. Rules, profile and Snakemake are as they are.
"""

import os
import re
import sys
import traceback

if re.search(r"\.snakemake/scripts/tmp\w+\.\w+\.py$", sys.orig_argv[-1]):
    status = 70
    try:
        from rehearsed import stand_in

        status = stand_in(sys.orig_argv[-1])
    except Exception:
        traceback.print_exc()
    finally:  # never the script itself
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
