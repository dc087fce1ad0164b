// What the stable ABI has had since Python 3.11 or 3.12, for 3.10 and 3.11. See older_python.h.
#include "older_python.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#undef PyModuleDef_Init  // the only one that is called by its own name

namespace {

// --- the layout of types in 3.10 and 3.11, of which nothing changes any more -----------------------------------------

struct Type {
  PyVarObject head;
  const char* name;
  Py_ssize_t basic_size, item_size;
  destructor dealloc;
  Py_ssize_t vectorcall_offset;
  void *getattr, *setattr, *as_async, *repr, *as_number, *as_sequence, *as_mapping, *hash;
  ternaryfunc call;
  void *str, *getattro;
  setattrofunc setattro;
  void* as_buffer;
  unsigned long flags;
  const char* doc;
  traverseproc traverse;
  inquiry clear;
  void* richcompare;
  Py_ssize_t weaklist_offset;
  void *iter, *iternext;
  PyMethodDef* methods;
  PyMemberDef* members;
  PyGetSetDef* getset;
  PyObject *base, *dict;
  void *descr_get, *descr_set;
  Py_ssize_t dict_offset;
  initproc init;
  void* alloc;
  newfunc new_;
  void *free, *is_gc, *bases, *mro, *cache, *subclasses, *weaklist, *del;
  unsigned int version_tag;
  void *finalize, *vectorcall;
};

struct HeapType {
  Type type;
  void *as_async[4], *as_number[36], *as_mapping[3], *as_sequence[10], *as_buffer[2];
  PyObject *name, *slots, *qualname;
  void* cached_keys;
  PyObject* module;
  // 3.11 has two more, which are its own business
};

constexpr Py_ssize_t word = sizeof(void*);
constexpr Py_ssize_t size_310 = 111 * word, size_311 = 113 * word;
static_assert(sizeof(HeapType) == size_310, "not the layout of Python 3.10");

Type* layout(PyTypeObject* type) { return reinterpret_cast<Type*>(type); }
Type* layout_of(PyObject* object) { return layout(Py_TYPE(object)); }

// --- what the interpreter has ----------------------------------------------------------------------------------------

// By name, because a mere weak reference would count as a need of Python 3.12.
template <typename Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

unsigned long version() {
  char* rest = nullptr;
  const unsigned long major = std::strtoul(Py_GetVersion(), &rest, 10);
  const unsigned long minor = std::strtoul(rest + 1, &rest, 10);
  const unsigned long micro = *rest == '.' ? std::strtoul(rest + 1, nullptr, 10) : 0;
  return major << 24 | minor << 16 | micro << 8;
}

const auto own_get_raised = find<PyObject*()>("PyErr_GetRaisedException");
const auto own_set_raised = find<void(PyObject*)>("PyErr_SetRaisedException");
const auto own_type_data = find<void*(PyObject*, PyTypeObject*)>("PyObject_GetTypeData");
const auto own_from_metaclass =
    find<PyObject*(PyTypeObject*, PyObject*, PyType_Spec*, PyObject*)>("PyType_FromMetaclass");
const auto own_get_name = find<PyObject*(PyTypeObject*)>("PyType_GetName");
const auto own_vectorcall = find<PyObject*(PyObject*, PyObject* const*, size_t, PyObject*)>("PyObject_Vectorcall");
// These two are there in 3.10, though not in its stable ABI
const auto own_vectorcall_call = find<PyObject*(PyObject*, PyObject*, PyObject*)>("PyVectorcall_Call");
const auto own_vectorcall_method =
    find<PyObject*(PyObject*, PyObject* const*, size_t, PyObject*)>("PyObject_VectorcallMethod");

// --- types -----------------------------------------------------------------------------------------------------------

Py_ssize_t aligned(Py_ssize_t size) {
  constexpr Py_ssize_t most = alignof(max_align_t);
  return (size + most - 1) / most * most;
}

bool fill(Type& type, const PyType_Slot& slot) {
  void* value = slot.pfunc;
  switch (slot.slot) {
    case Py_tp_base: Py_IncRef(type.base = static_cast<PyObject*>(value)); return true;
    case Py_tp_call: type.call = reinterpret_cast<ternaryfunc>(value); return true;
    case Py_tp_clear: type.clear = reinterpret_cast<inquiry>(value); return true;
    case Py_tp_dealloc: type.dealloc = reinterpret_cast<destructor>(value); return true;
    case Py_tp_getset: type.getset = static_cast<PyGetSetDef*>(value); return true;
    case Py_tp_init: type.init = reinterpret_cast<initproc>(value); return true;
    case Py_tp_methods: type.methods = static_cast<PyMethodDef*>(value); return true;
    case Py_tp_new: type.new_ = reinterpret_cast<newfunc>(value); return true;
    case Py_tp_setattro: type.setattro = reinterpret_cast<setattrofunc>(value); return true;
    case Py_tp_traverse: type.traverse = reinterpret_cast<traverseproc>(value); return true;
    case Py_tp_doc: {
      const size_t size = std::strlen(static_cast<const char*>(value)) + 1;
      char* copy = static_cast<char*>(PyObject_Malloc(size));  // the type frees it
      if (copy == nullptr) return PyErr_NoMemory(), false;
      type.doc = static_cast<const char*>(std::memcpy(copy, value, size));
      return true;
    }
    case Py_tp_members:
      for (const PyMemberDef* member = static_cast<PyMemberDef*>(value); member->name != nullptr; ++member) {
        if (std::strcmp(member->name, "__dictoffset__") == 0)
          type.dict_offset = member->offset;
        else if (std::strcmp(member->name, "__weaklistoffset__") == 0)
          type.weaklist_offset = member->offset;
        else if (std::strcmp(member->name, "__vectorcalloffset__") == 0)
          type.vectorcall_offset = member->offset;
        else
          return PyErr_Format(PyExc_SystemError, "a type with the member %s", member->name), false;
      }
      return true;
    default: return PyErr_Format(PyExc_SystemError, "a type with the slot %i", slot.slot), false;
  }
}

// `heap` is new, and all zero.
bool complete(HeapType& heap, PyObject* module, const PyType_Spec& spec) {
  Type& type = heap.type;
  // First what makes it safe to be given up
  type.flags = spec.flags | Py_TPFLAGS_HEAPTYPE;
  type.as_async = heap.as_async;
  type.as_number = heap.as_number;
  type.as_mapping = heap.as_mapping;
  type.as_sequence = heap.as_sequence;
  type.as_buffer = heap.as_buffer;
  Py_XINCREF(heap.module = module);

  const char* dot = std::strrchr(spec.name, '.');
  heap.name = PyUnicode_FromString(dot == nullptr ? spec.name : dot + 1);
  if (heap.name == nullptr) return false;
  Py_IncRef(heap.qualname = heap.name);
  type.name = PyUnicode_AsUTF8AndSize(heap.name, nullptr);
  type.dict = PyDict_New();
  if (type.name == nullptr || type.dict == nullptr) return false;
  if (dot != nullptr) {
    PyObject* where = PyUnicode_FromStringAndSize(spec.name, dot - spec.name);
    if (where == nullptr) return false;
    const int failed = PyDict_SetItemString(type.dict, "__module__", where);
    Py_DecRef(where);
    if (failed != 0) return false;
  }
  for (const PyType_Slot* slot = spec.slots; slot->slot != 0; ++slot) {
    if (!fill(type, *slot)) return false;
  }
  type.basic_size = spec.basicsize;
  type.item_size = spec.itemsize;
  if (spec.basicsize < 0) {  // beyond what the base has
    if (type.base == nullptr) return PyErr_SetString(PyExc_SystemError, "a size beyond no base"), false;
    const Type* base = layout(reinterpret_cast<PyTypeObject*>(type.base));
    type.basic_size = aligned(base->basic_size) + aligned(-spec.basicsize);
  }
  return true;
}

}  // namespace

extern "C" {

const unsigned long ortpack_python_version = version();

PyObject* ortpack_get_raised_exception() {
  if (own_get_raised != nullptr) return own_get_raised();
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  if (type == nullptr) return nullptr;
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != nullptr) PyException_SetTraceback(value, trace);
  Py_DecRef(type);
  Py_DecRef(trace);
  return value;
}

void ortpack_set_raised_exception(PyObject* exception) {
  if (own_set_raised != nullptr) return own_set_raised(exception);
  if (exception == nullptr) return PyErr_Clear();
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(exception));
  Py_IncRef(type);
  PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}

// Takes away what an older Python would not know, and refuse.
PyObject* ortpack_module_def_init(PyModuleDef* definition) {
  const int newest = ortpack_python_version < 0x030C0000 ? Py_mod_exec : Py_mod_multiple_interpreters;
  PyModuleDef_Slot* kept = definition->m_slots;
  for (PyModuleDef_Slot* slot = kept; slot->slot != 0; ++slot) {
    if (slot->slot <= newest) *kept++ = *slot;
  }
  *kept = {0, nullptr};
  return PyModuleDef_Init(definition);
}

void* ortpack_get_type_data(PyObject* object, PyTypeObject* type) {
  if (own_type_data != nullptr) return own_type_data(object, type);
  Type* base = layout(reinterpret_cast<PyTypeObject*>(layout(type)->base));
  return reinterpret_cast<char*>(object) + aligned(base->basic_size);
}

PyObject* ortpack_type_from_metaclass(PyTypeObject* metaclass, PyObject* module, PyType_Spec* spec, PyObject* bases) {
  if (own_from_metaclass != nullptr) return own_from_metaclass(metaclass, module, spec, bases);
  const unsigned long minor = ortpack_python_version >> 16;
  const Py_ssize_t size = layout(&PyType_Type)->basic_size;
  if (!(minor == 0x030A && size == size_310) && !(minor == 0x030B && size == size_311)) {
    return PyErr_Format(PyExc_SystemError, "types of this Python (%s) are not known here", Py_GetVersion());
  }
  if (bases != nullptr) return PyErr_Format(PyExc_SystemError, "a type with a tuple of bases");
  PyObject* made = PyType_GenericAlloc(metaclass, 0);
  if (made == nullptr) return nullptr;
  if (!complete(*reinterpret_cast<HeapType*>(made), module, *spec) ||
      PyType_Ready(reinterpret_cast<PyTypeObject*>(made)) != 0) {
    Py_DecRef(made);
    return nullptr;
  }
  return made;
}

PyObject* ortpack_type_get_name(PyTypeObject* type) {
  if (own_get_name != nullptr) return own_get_name(type);
  return PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__name__");
}

PyObject* ortpack_vectorcall(PyObject* callable, PyObject* const* arguments, size_t count, PyObject* names) {
  if (own_vectorcall != nullptr) return own_vectorcall(callable, arguments, count, names);
  if (layout_of(callable)->flags & Py_TPFLAGS_HAVE_VECTORCALL) {
    void* at = reinterpret_cast<char*>(callable) + layout_of(callable)->vectorcall_offset;
    if (const auto call = *static_cast<vectorcallfunc*>(at)) return call(callable, arguments, count, names);
  }
  const Py_ssize_t positional = PyVectorcall_NARGS(count);
  PyObject* tuple = PyTuple_New(positional);
  PyObject* dict = names != nullptr ? PyDict_New() : nullptr;
  bool good = tuple != nullptr && (names == nullptr || dict != nullptr);
  for (Py_ssize_t i = 0; good && i < positional; ++i) {
    Py_IncRef(arguments[i]);
    good = PyTuple_SetItem(tuple, i, arguments[i]) == 0;
  }
  const Py_ssize_t named = names != nullptr ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; good && i < named; ++i) {
    good = PyDict_SetItem(dict, PyTuple_GetItem(names, i), arguments[positional + i]) == 0;
  }
  PyObject* result = good ? PyObject_Call(callable, tuple, dict) : nullptr;
  Py_DecRef(tuple);
  Py_DecRef(dict);
  return result;
}

PyObject* ortpack_vectorcall_call(PyObject* callable, PyObject* arguments, PyObject* named) {
  return own_vectorcall_call(callable, arguments, named);
}

PyObject* ortpack_vectorcall_method(PyObject* name, PyObject* const* arguments, size_t count, PyObject* names) {
  return own_vectorcall_method(name, arguments, count, names);
}
}
