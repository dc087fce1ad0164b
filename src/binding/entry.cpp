#include "entry.h"

#include "errors.h"

#ifdef ORTPACK_STATIC_ORT

namespace ortpack {
const OrtApiBase* find_api_base(const std::string&) { return OrtGetApiBase(); }
}  // namespace ortpack

#else

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace ortpack {

namespace {

using GetApiBase = const OrtApiBase*(ORT_API_CALL*)();

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  throw Error("RuntimeLoadError", "could not load " + path + ": " + reason);
}

#ifdef _WIN32

std::string last_error() {
  const DWORD code = GetLastError();
  wchar_t* wide = nullptr;
  const DWORD flags = FORMAT_MESSAGE_ALLOCATE_BUFFER | FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS;
  DWORD length = FormatMessageW(flags, nullptr, code, 0, reinterpret_cast<wchar_t*>(&wide), 0, nullptr);
  while (length > 0 && (wide[length - 1] == L'\n' || wide[length - 1] == L'\r')) --length;
  const int size = WideCharToMultiByte(CP_UTF8, 0, wide, static_cast<int>(length), nullptr, 0, nullptr, nullptr);
  std::string text(static_cast<size_t>(size), '\0');
  WideCharToMultiByte(CP_UTF8, 0, wide, static_cast<int>(length), text.data(), size, nullptr, nullptr);
  LocalFree(wide);
  return text + " (error " + std::to_string(code) + ")";
}

void* open(const std::string& path) {
  const int size = MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, nullptr, 0);
  std::wstring wide(static_cast<size_t>(size > 0 ? size : 1), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, wide.data(), size);
  // Search its own folder and the system's. The working directory and PATH may hold another onnxruntime.dll.
  const DWORD flags = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32 | LOAD_LIBRARY_SEARCH_USER_DIRS;
  HMODULE library = LoadLibraryExW(wide.c_str(), nullptr, flags);
  if (library == nullptr) refuse(path, last_error());
  return library;
}

GetApiBase find(void* library) {
  return reinterpret_cast<GetApiBase>(
      reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), "OrtGetApiBase")));
}

#else

void* open(const std::string& path) {
  // RTLD_LOCAL hides its symbols from another version of ONNX Runtime in this process
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    refuse(path, reason ? reason : "unknown reason");
  }
  return library;
}

GetApiBase find(void* library) { return reinterpret_cast<GetApiBase>(dlsym(library, "OrtGetApiBase")); }

#endif

}  // namespace

const OrtApiBase* find_api_base(const std::string& path) {
  const GetApiBase get = find(open(path));
  if (get == nullptr) refuse(path, "it has no OrtGetApiBase, so it is not ONNX Runtime");
  const OrtApiBase* base = get();
  if (base == nullptr) refuse(path, "its OrtGetApiBase returned nothing");
  return base;
}

}  // namespace ortpack

#endif
