// Included before everything else where nanobind's own code is linked in.
//
// That code is written for the stable ABI of Python 3.12. What it calls that is newer than 3.10 is led to
// older_python.cpp, which asks the interpreter for it and stands in where the interpreter is too old. So the module
// needs nothing but the stable ABI of 3.10.
#pragma once

#include <nanobind/nb_python.h>
#include <stdio.h>  // NOLINT: nanobind counts on Python.h to bring it, which it does not for this ABI

#include <nanobind/nb_defs.h>

// What nanobind's headers derive from Py_LIMITED_API: the oldest Python to run on. None, True and False have a count of
// references there.
#undef NB_PYTHON_VERSION
#define NB_PYTHON_VERSION 0x030A0000
#undef NB_IMMORTAL_SINGLETONS
#define NB_IMMORTAL_SINGLETONS 0

extern "C" {
// Of the interpreter, as in PY_VERSION_HEX
extern const unsigned long ortpack_python_version;

PyObject* ortpack_get_raised_exception(void);
void ortpack_set_raised_exception(PyObject* exception);
PyObject* ortpack_module_def_init(PyModuleDef* definition);
void* ortpack_get_type_data(PyObject* object, PyTypeObject* type);
PyObject* ortpack_type_from_metaclass(PyTypeObject* metaclass, PyObject* module, PyType_Spec* spec, PyObject* bases);
PyObject* ortpack_type_get_name(PyTypeObject* type);
PyObject* ortpack_vectorcall(PyObject* callable, PyObject* const* arguments, size_t count, PyObject* names);
PyObject* ortpack_vectorcall_call(PyObject* callable, PyObject* arguments, PyObject* named);
PyObject* ortpack_vectorcall_method(PyObject* name, PyObject* const* arguments, size_t count, PyObject* names);
}

#define Py_Version ortpack_python_version
#define PyErr_GetRaisedException ortpack_get_raised_exception
#define PyErr_SetRaisedException ortpack_set_raised_exception
#define PyModuleDef_Init ortpack_module_def_init
#define PyObject_GetTypeData ortpack_get_type_data
#define PyObject_Vectorcall ortpack_vectorcall
#define PyObject_VectorcallMethod ortpack_vectorcall_method
#define PyType_FromMetaclass ortpack_type_from_metaclass
#define PyType_GetName ortpack_type_get_name
#define PyVectorcall_Call ortpack_vectorcall_call
#define PyVectorcall_NARGS NB_VECTORCALL_NARGS
