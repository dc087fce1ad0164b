// NumPy's C API. arrays.cpp imports its table of functions; every other file only uses it.
#pragma once

#include <nanobind/nanobind.h>

#ifndef ORTPACK_IMPORT_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>
