"""Stand-in for what jobs compute: with this folder on PYTHONPATH, the script of a rule is replaced by ``rehearsed.stand_in``.

Python imports a ``sitecustomize`` as it starts. Rules, profile and Snakemake are as they are, but that Snakemake looks for ended
jobs every REHEARSAL_CHECK_S seconds if that is set, as a test does: the plugin waits 10 s longer after each look in vain.
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

if "REHEARSAL_CHECK_S" in os.environ and "--profile" in sys.orig_argv:
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    every = float(os.environ["REHEARSAL_CHECK_S"])
    RemoteExecutor.next_seconds_between_status_checks = property(lambda self: every, lambda self, seconds: None)
