"""Optimizes models and writes them, through the `ortpack` loader, in a process that `full_runtime` starts.

The request is JSON on standard input, the answer the last line `RESULT {…}` on standard output.
"""

from __future__ import annotations

import json
import sys


def main() -> int:
    request = json.load(sys.stdin)
    try:
        import ortpack  # noqa: PLC0415 - a failure is an answer too

        runtime = ortpack.load_runtime(request["library"])
    except Exception as error:
        return _answer(setup=f"{error}")
    for job in request["jobs"]:
        options = ortpack.SessionOptions()
        options.graph_optimization_level = ortpack.GraphOptimizationLevel(job["level"])
        options.optimized_model_filepath = job["out"]
        options.log_severity_level = 4
        options.intra_op_num_threads = 1  # folding is all that is run
        # Weights need not be made ready for a run that never comes.
        entries = {"session.save_model_format": job["format"], "session.disable_prepacking": "1"}
        for key, value in (entries | job["config"]).items():
            options.add_session_config_entry(key, value)
        try:
            for library in request["custom_ops"]:
                options.register_custom_ops_library(library)
            ortpack.InferenceSession(request["model"], options, runtime=runtime)
        except Exception as error:
            return _answer(refused=f"{error}")
    return _answer(done=True)


def _answer(**answer: object) -> int:
    print("RESULT " + json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
