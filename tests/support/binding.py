"""What every interpreter must do alike with the binding, whatever of the stable ABI it lacks."""

# Types and their metaclass, vector calls with and without names, exceptions with their traces, None's references.
SCRIPT = """
import gc, json, platform, struct, sys, traceback
import numpy, ortpack
from ortpack import _binding

class Own(_binding.Library):
    __slots__ = ("mine",)

assert type(Own) is type(_binding.Library) is not type
assert _binding.Library.__module__ == "ortpack._binding", _binding.Library.__module__
assert Own.mine.__objclass__ is Own and _binding.Library.__doc__.startswith("One ONNX Runtime library")
try:
    _binding.Library.nothing
except AttributeError as error:
    missing = str(error)
kinds = set()
nones = sys.getrefcount(None)
for _ in range(1000):
    for wrong in ((1,), ("", 2)):
        try:
            Own(*wrong)
        except TypeError as error:
            kinds.add(type(error).__name__)
    try:
        Own(path="/nowhere/libonnxruntime.so")
    except Exception as error:
        kinds.add(type(error).__name__)
        assert traceback.extract_tb(error.__traceback__)
gc.collect()
assert abs(sys.getrefcount(None) - nones) < 500, (sys.getrefcount(None), nones)
print(json.dumps({"kinds": sorted(kinds), "missing": missing, "machine": platform.machine(),
                  "word": struct.calcsize("P"), "python": sys.version_info[:2]}))
"""
