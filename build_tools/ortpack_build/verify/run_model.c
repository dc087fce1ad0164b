/* Runs a model once with an ONNX Runtime library that is named, through its C API, and writes what comes out.
 *
 *     run_model LIBRARY MODEL FOLDER [NAME=SHAPE:FILE]...
 *
 * NAME=SHAPE:FILE feeds an input with the bytes of a file, e.g. input=1x576:feed.bin; a scalar has an empty SHAPE.
 * Every other input is fed with zeros, and its free dimensions are 1. Each output goes to FOLDER/<number>.bin and has a
 * line `<number> <type> <shape> <name>` on standard output. Types are numbers of ONNXTensorElementDataType.
 *
 * No header is needed: OrtApi is a table of functions whose order never changes (new ones are added at its end), so a
 * number is all that names one. tests/unit compares these numbers with ONNX Runtime's header.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#define CALL __stdcall
#else
#include <dlfcn.h>
#define CALL
#endif

enum { API_VERSION = 17 }; /* the oldest that the loader speaks */

enum {
    GetErrorMessage = 2,
    CreateEnv = 3,
    CreateSessionFromArray = 8,
    Run = 9,
    CreateSessionOptions = 10,
    SessionGetInputCount = 30,
    SessionGetOutputCount = 31,
    SessionGetInputTypeInfo = 33,
    SessionGetInputName = 36,
    SessionGetOutputName = 37,
    CreateTensorAsOrtValue = 48,
    IsTensor = 50,
    GetTensorMutableData = 51,
    CastTypeInfoToTensorInfo = 55,
    GetTensorElementType = 60,
    GetDimensionsCount = 61,
    GetDimensions = 62,
    GetTensorShapeElementCount = 64,
    GetTensorTypeAndShape = 65,
    GetAllocatorWithDefaultOptions = 78,
};

enum { MOST = 64, RANK = 16 }; /* inputs and outputs of a model, and dimensions of each, that are enough here */

typedef struct { const void *(CALL *GetApi)(uint32_t); const char *(CALL *GetVersionString)(void); } Base;
typedef struct { const char *name; int64_t shape[RANK]; size_t rank; const char *file; } Feed;
typedef void *(CALL *Function)(void *, void *, void *, void *, void *, void *, void *, void *);

static void *const *api;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* Calls a function of the API with up to eight pointers or whole numbers: each fills one register or stack slot. */
static void *call(int number, void *a, void *b, void *c, void *d, void *e, void *f, void *g, void *h) {
    return ((Function)api[number])(a, b, c, d, e, f, g, h);
}

static void check(const char *what, void *status) {
    if (status) fail(what, call(GetErrorMessage, status, 0, 0, 0, 0, 0, 0, 0));
}

#define DO(name, a, b, c, d, e, f, g, h) \
    check(#name, call(name, (void *)(a), (void *)(b), (void *)(c), (void *)(d), (void *)(e), (void *)(f), (void *)(g), (void *)(h)))

static const Base *open_library(const char *path) {
    const Base *(CALL *get)(void) = 0;
#ifdef _WIN32
    /* Its own folder and the system's, as the loader does */
    HMODULE library = LoadLibraryExA(path, 0, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    char code[32];
    snprintf(code, sizeof code, "error %lu", GetLastError());
    if (!library) fail(path, code);
    *(FARPROC *)&get = GetProcAddress(library, "OrtGetApiBase");
#else
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(path, dlerror());
    *(void **)&get = dlsym(library, "OrtGetApiBase");
#endif
    if (!get) fail(path, "has no OrtGetApiBase");
    return get();
}

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path, "can't be opened");
    char *data = 0;
    size_t room = 0, got = 1;
    for (*size = 0; got; *size += got) {
        if (*size == room && !(data = realloc(data, room = room ? 2 * room : 1 << 16))) fail(path, "no memory");
        got = fread(data + *size, 1, room - *size, file);
    }
    if (ferror(file)) fail(path, "can't be read");
    fclose(file);
    return data;
}

static Feed parse_feed(char *text) {
    Feed feed = {.name = text};
    char *shape = strchr(text, '=');
    char *file = shape ? strchr(shape, ':') : 0;
    if (!file) fail(text, "NAME=SHAPE:FILE is expected");
    *shape++ = *file++ = 0;
    feed.file = file;
    while (*shape && feed.rank < RANK) {
        feed.shape[feed.rank++] = strtoll(shape, &shape, 10);
        if (*shape == 'x') shape++;
    }
    return feed;
}

static size_t bytes_of(int type) {
    static const unsigned char sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2};
    return (size_t)type < sizeof sizes ? sizes[type] : 0;
}

/* A tensor for an input of the model, filled from the feed of its name, or with zeros. */
static void *make_input(void *session, void *allocator, size_t index, const char *name, const Feed *feeds, int count) {
    void *info, *value;
    const void *tensor;
    int type;
    Feed feed = {0};
    DO(SessionGetInputTypeInfo, session, index, &info, 0, 0, 0, 0, 0);
    DO(CastTypeInfoToTensorInfo, info, &tensor, 0, 0, 0, 0, 0, 0);
    if (!tensor) fail(name, "is no tensor");
    DO(GetTensorElementType, tensor, &type, 0, 0, 0, 0, 0, 0);
    DO(GetDimensionsCount, tensor, &feed.rank, 0, 0, 0, 0, 0, 0);
    if (!bytes_of(type) || feed.rank > RANK) fail(name, "is of a type or rank that no feed can be made up for");
    DO(GetDimensions, tensor, feed.shape, feed.rank, 0, 0, 0, 0, 0);
    for (size_t i = 0; i < feed.rank; i++)
        if (feed.shape[i] < 1) feed.shape[i] = 1;
    for (int i = 0; i < count; i++)
        if (!strcmp(feeds[i].name, name)) feed = feeds[i];

    size_t size = bytes_of(type), given;
    for (size_t i = 0; i < feed.rank; i++) size *= (size_t)feed.shape[i];
    char *place;
    DO(CreateTensorAsOrtValue, allocator, feed.shape, feed.rank, (intptr_t)type, &value, 0, 0, 0);
    DO(GetTensorMutableData, value, &place, 0, 0, 0, 0, 0, 0);
    memset(place, 0, size);
    if (feed.file) {
        char *data = read_file(feed.file, &given);
        if (given != size) fail(feed.file, "has not as many bytes as the input");
        memcpy(place, data, size);
    }
    return value;
}

static void write_output(void *value, size_t number, const char *name, const char *folder) {
    int tensor, type;
    void *info;
    size_t rank, count;
    int64_t shape[RANK];
    char *data, path[4096];
    DO(IsTensor, value, &tensor, 0, 0, 0, 0, 0, 0);
    if (!tensor) fail(name, "is no tensor");
    DO(GetTensorTypeAndShape, value, &info, 0, 0, 0, 0, 0, 0);
    DO(GetTensorElementType, info, &type, 0, 0, 0, 0, 0, 0);
    DO(GetDimensionsCount, info, &rank, 0, 0, 0, 0, 0, 0);
    if (!bytes_of(type) || rank > RANK) fail(name, "is of a type or rank that is not written");
    DO(GetDimensions, info, shape, rank, 0, 0, 0, 0, 0);
    DO(GetTensorShapeElementCount, info, &count, 0, 0, 0, 0, 0, 0);
    DO(GetTensorMutableData, value, &data, 0, 0, 0, 0, 0, 0);
    snprintf(path, sizeof path, "%s/%zu.bin", folder, number);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, bytes_of(type), count, file) != count || fclose(file)) fail(path, "can't be written");
    printf("%zu %d ", number, type);
    for (size_t i = 0; i < rank; i++) printf(i ? "x%lld" : "%lld", (long long)shape[i]);
    printf(rank ? " %s\n" : "- %s\n", name);
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 4 + MOST) fail(argv[0], "LIBRARY MODEL FOLDER [NAME=SHAPE:FILE]... is expected");
    Feed feeds[MOST];
    for (int i = 4; i < argc; i++) feeds[i - 4] = parse_feed(argv[i]);

    const Base *base = open_library(argv[1]);
    api = base->GetApi(API_VERSION);
    if (!api) fail(argv[1], "is older than API 17");
    printf("version %s\n", base->GetVersionString());

    void *env, *options, *session, *allocator, *values[MOST], *results[MOST] = {0};
    char *names[MOST], *wanted[MOST];
    size_t size, inputs, outputs;
    char *model = read_file(argv[2], &size);
    DO(CreateEnv, 2 /* warnings */, "run_model", &env, 0, 0, 0, 0, 0);
    DO(CreateSessionOptions, &options, 0, 0, 0, 0, 0, 0, 0);
    DO(CreateSessionFromArray, env, model, size, options, &session, 0, 0, 0);
    DO(GetAllocatorWithDefaultOptions, &allocator, 0, 0, 0, 0, 0, 0, 0);
    DO(SessionGetInputCount, session, &inputs, 0, 0, 0, 0, 0, 0);
    DO(SessionGetOutputCount, session, &outputs, 0, 0, 0, 0, 0, 0);
    if (inputs > MOST || outputs > MOST) fail(argv[2], "has too many inputs or outputs");
    for (size_t i = 0; i < inputs; i++) {
        DO(SessionGetInputName, session, i, allocator, &names[i], 0, 0, 0, 0);
        values[i] = make_input(session, allocator, i, names[i], feeds, argc - 4);
    }
    for (size_t i = 0; i < outputs; i++) DO(SessionGetOutputName, session, i, allocator, &wanted[i], 0, 0, 0, 0);
    DO(Run, session, 0, names, values, inputs, wanted, outputs, results);
    for (size_t i = 0; i < outputs; i++) write_output(results[i], i, wanted[i], argv[3]);
    return fflush(stdout) != 0;
}
