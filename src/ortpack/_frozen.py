"""Imports that are never carried out: tools that make one application of many modules read them in the bytecode.

The extension module's imports stand in no bytecode, and runtimes are found in folders. PyInstaller has a hook for that;
cx_Freeze has no place for one, but follows these lines, and passes over what is not installed. A test compares the
runtimes with the manifests; docs/freezing.md says how others are named.
"""

NEVER = False

if NEVER:
    __import__("nanobind_backend._nb_backend_v1")
    __import__("numpy")
    __import__("ortpack_runtimes.arm64")
    __import__("ortpack_runtimes.coreml")
    __import__("ortpack_runtimes.cpu")
    __import__("ortpack_runtimes.cuda")
    __import__("ortpack_runtimes.cuda12")
    __import__("ortpack_runtimes.directml")
    __import__("ortpack_runtimes.migraphx")
    __import__("ortpack_runtimes.nxrt-cpu")
    __import__("ortpack_runtimes.openvino")
    __import__("ortpack_runtimes.qnn")
    __import__("ortpack_runtimes.tensorrt")
    __import__("ortpack_runtimes.tensorrt-rtx")
    __import__("ortpack_runtimes.tensorrt-rtx-cuda12")
    __import__("ortpack_runtimes.webgpu")
