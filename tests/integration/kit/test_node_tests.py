"""ONNX's own tests of operators, on ONNX Runtime as it is compiled here and on the official library."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from support import kits, node_tests, official

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = kits.NEEDED

# What upstream leaves out of every minimal build: it says so when a model asks for it. The loader makes empty sequences
# with a small ONNX model, which such a runtime does not load.
_LEFT_OUT = {
    "onnx": {},
    "ort": {
        "test_ai_onnx_ml_tree_ensemble_set_membership": "error: RuntimeException",
        "test_ai_onnx_ml_tree_ensemble_single_tree": "error: RuntimeException",
        "test_batchnorm_epsilon_training_mode": "error: RuntimeException",
        "test_batchnorm_example_training_mode": "error: RuntimeException",
        "test_loop13_seq": "error: NotImplemented",
    },
}


def test_every_one_has_the_outcome_that_it_has_on_the_official_library(tmp_path: Path) -> None:
    ours, theirs = kits.link(tmp_path / "link").path, official.library(kits.ORT)
    flavour = kits.request().flavour
    counts: collections.Counter[str] = collections.Counter()
    differ = {}
    for folder in node_tests.folders():
        model = tmp_path / f"{folder.name}.ort" if flavour == "ort" else None
        if model is not None and not node_tests.to_ort(folder, model, theirs):
            counts["refused"] += 1
            continue
        expected, found = (node_tests.outcome(folder, library, model) for library in (theirs, ours))
        counts[expected] += 1
        if expected != found:
            assert expected == "pass"
            differ[folder.name] = found
    assert differ == _LEFT_OUT[flavour]
    assert counts["pass"] > 1100
    assert counts.total() == 1288
