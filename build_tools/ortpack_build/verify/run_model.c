/* Runs a model with an ONNX Runtime library that is named, through its C API, and writes what comes out.
 *
 *     run_model LIBRARY MODEL FOLDER LEVEL [COUNT [NAME SHAPE FILE]...]...
 *
 * LEVEL is the optimization level. Each COUNT begins a run of the one session, with so many inputs that are fed with the
 * bytes of a file, e.g. 1 input 1x576 feed.bin; a scalar's SHAPE is -, and strings end with a zero byte each. Every other
 * input is fed with zeros, and its free dimensions are 1.
 *
 * On standard output there is a line `version <version>`, and for each run a line `run` and one for each tensor that came
 * out, `<number> <type> <shape> <name>`, whose bytes are in FOLDER/<number>.bin. Those of sequences are called name[0],
 * those of maps name.keys and name.values. Types are numbers of ONNXTensorElementDataType.
 *
 * No header is needed: OrtApi is a table of functions whose order never changes (new ones are added at its end), so a
 * number is all that names one. tests/integration compares these numbers with ONNX Runtime's header.
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
    CreateSession = 7,
    Run = 9,
    CreateSessionOptions = 10,
    SetSessionGraphOptimizationLevel = 23,
    SessionGetInputCount = 30,
    SessionGetOutputCount = 31,
    SessionGetInputTypeInfo = 33,
    SessionGetInputName = 36,
    SessionGetOutputName = 37,
    CreateTensorAsOrtValue = 48,
    GetTensorMutableData = 51,
    FillStringTensor = 52,
    GetStringTensorDataLength = 53,
    GetStringTensorContent = 54,
    CastTypeInfoToTensorInfo = 55,
    GetTensorElementType = 60,
    GetDimensionsCount = 61,
    GetDimensions = 62,
    GetTensorShapeElementCount = 64,
    GetTensorTypeAndShape = 65,
    GetValueType = 67,
    GetAllocatorWithDefaultOptions = 78,
    GetValue = 80,
    GetValueCount = 81,
    HasValue = 192,
};

enum { MOST = 1024, RANK = 16, ROOM = 4096 }; /* inputs and outputs, dimensions of each, and bytes of a name: enough here */
enum { IS_TENSOR = 1, IS_SEQUENCE = 2, IS_MAP = 3 }; /* of ONNXType */
enum { STRINGS = 8, DOUBLES = 11 };           /* of ONNXTensorElementDataType */

typedef struct { const void *(CALL *GetApi)(uint32_t); const char *(CALL *GetVersionString)(void); } Base;
typedef struct { const char *name; int64_t shape[RANK]; size_t rank; const char *file; } Feed;
typedef void *(CALL *Function)(void *, void *, void *, void *, void *, void *, void *, void *);

static void *const *api;

/* Ends with a message on one line, whatever the library has to say. */
static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: ", what);
    for (; *why; why++) fputc(*why == '\n' ? ' ' : *why, stderr);
    fputc('\n', stderr);
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

/* The file's bytes, and a zero byte after them. */
static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path, "can't be opened");
    char *data = 0;
    size_t room = 0, got = 1;
    for (*size = 0; got; *size += got) {
        if (*size + 1 >= room && !(data = realloc(data, room = room ? 2 * room : 1 << 16))) fail(path, "no memory");
        got = fread(data + *size, 1, room - *size - 1, file);
    }
    if (ferror(file)) fail(path, "can't be read");
    fclose(file);
    data[*size] = 0;
    return data;
}

static Feed parse_feed(char **words) {
    Feed feed = {.name = words[0], .file = words[2]};
    char *shape = words[1];
    while (*shape && *shape != '-' && feed.rank < RANK) {
        feed.shape[feed.rank++] = strtoll(shape, &shape, 10);
        if (*shape == 'x') shape++;
    }
    return feed;
}

/* Of an element; 0 for strings and what is not written. */
static size_t bytes_of(int type) {
    static const unsigned char sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2};
    return (size_t)type < sizeof sizes ? sizes[type] : 0;
}

static void fill_strings(void *value, const Feed *feed, size_t count) {
    size_t size;
    const char *data = read_file(feed->file, &size), *end = data + size, **each = calloc(count + 1, sizeof *each);
    if (!each) fail(feed->file, "no memory");
    for (size_t i = 0; i < count; i++, data += strlen(data) + 1)
        if ((each[i] = data) >= end) fail(feed->file, "has fewer strings than the input");
    if (data != end) fail(feed->file, "has more strings than the input");
    DO(FillStringTensor, value, each, count, 0, 0, 0, 0, 0);
}

static void fill(void *value, const Feed *feed, size_t size) {
    char *place;
    size_t given;
    DO(GetTensorMutableData, value, &place, 0, 0, 0, 0, 0, 0);
    memset(place, 0, size);
    if (!feed->file) return;
    char *data = read_file(feed->file, &given);
    if (given != size) fail(feed->file, "has not as many bytes as the input");
    memcpy(place, data, size);
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
    if ((!bytes_of(type) && type != STRINGS) || feed.rank > RANK)
        fail(name, "is of a type or rank that no feed can be made up for");
    DO(GetDimensions, tensor, feed.shape, feed.rank, 0, 0, 0, 0, 0);
    for (size_t i = 0; i < feed.rank; i++)
        if (feed.shape[i] < 1) feed.shape[i] = 1;
    for (int i = 0; i < count; i++)
        if (!strcmp(feeds[i].name, name)) feed = feeds[i];

    size_t elements = 1;
    for (size_t i = 0; i < feed.rank; i++) elements *= (size_t)feed.shape[i];
    DO(CreateTensorAsOrtValue, allocator, feed.shape, feed.rank, (intptr_t)type, &value, 0, 0, 0);
    if (type != STRINGS)
        fill(value, &feed, elements * bytes_of(type));
    else if (feed.file)
        fill_strings(value, &feed, elements);
    return value;
}

static void write_file(const char *folder, size_t number, const void *data, size_t size) {
    char path[ROOM];
    snprintf(path, sizeof path, "%s/%zu.bin", folder, number);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) fail(path, "can't be written");
}

/* The strings of a tensor, each with a zero byte at its end. */
static char *strings_of(void *value, const char *name, size_t count, size_t *size) {
    size_t length;
    DO(GetStringTensorDataLength, value, &length, 0, 0, 0, 0, 0, 0);
    char *data = malloc(length + 1), *all = malloc(length + count + 1), *end = all;
    size_t *starts = malloc((count + 1) * sizeof *starts);
    if (!data || !all || !starts) fail(name, "no memory");
    if (count) DO(GetStringTensorContent, value, data, length, starts, count, 0, 0, 0);
    starts[count] = length;
    for (size_t i = 0; i < count; i++, *end++ = 0) {
        size_t part = starts[i + 1] - starts[i];
        memcpy(end, data + starts[i], part);
        end += part;
    }
    *size = (size_t)(end - all);
    return all;
}

static void write_tensor(void *value, const char *name, const char *folder, size_t number) {
    int type;
    void *info;
    size_t rank, count, size;
    int64_t shape[RANK];
    char *data;
    DO(GetTensorTypeAndShape, value, &info, 0, 0, 0, 0, 0, 0);
    DO(GetTensorElementType, info, &type, 0, 0, 0, 0, 0, 0);
    DO(GetDimensionsCount, info, &rank, 0, 0, 0, 0, 0, 0);
    if ((!bytes_of(type) && type != STRINGS) || rank > RANK) fail(name, "is of a type or rank that is not written");
    DO(GetDimensions, info, shape, rank, 0, 0, 0, 0, 0);
    DO(GetTensorShapeElementCount, info, &count, 0, 0, 0, 0, 0, 0);
    if (type == STRINGS) {
        data = strings_of(value, name, count, &size);
    } else {
        DO(GetTensorMutableData, value, &data, 0, 0, 0, 0, 0, 0);
        size = bytes_of(type) * count;
    }
    write_file(folder, number, data, size);
    printf("%zu %d ", number, type);
    for (size_t i = 0; i < rank; i++) printf(i ? "x%lld" : "%lld", (long long)shape[i]);
    printf(rank ? " %s\n" : "- %s\n", name);
}

/* Writes the tensors of a value, the first as `number`; how many numbers there are then. */
static size_t write_value(void *value, void *allocator, const char *name, const char *folder, size_t number) {
    int type, there;
    size_t count;
    void *part;
    DO(HasValue, value, &there, 0, 0, 0, 0, 0, 0);
    if (!there) return number;
    DO(GetValueType, value, &type, 0, 0, 0, 0, 0, 0);
    if (type == IS_TENSOR) {
        write_tensor(value, name, folder, number);
        return number + 1;
    }
    if (type != IS_SEQUENCE && type != IS_MAP) fail(name, "is neither tensor nor sequence nor map");
    DO(GetValueCount, value, &count, 0, 0, 0, 0, 0, 0);
    if (!count) { /* what NumPy makes of an empty list */
        write_file(folder, number, "", 0);
        printf("%zu %d 0 %s\n", number, DOUBLES, name);
        return number + 1;
    }
    for (size_t i = 0; i < count; i++) {
        char inner[ROOM];
        if (type == IS_MAP)
            snprintf(inner, sizeof inner, "%s.%s", name, i ? "values" : "keys");
        else
            snprintf(inner, sizeof inner, "%s[%zu]", name, i);
        DO(GetValue, value, i, allocator, &part, 0, 0, 0, 0);
        number = write_value(part, allocator, inner, folder, number);
    }
    return number;
}

static void *open_session(void *env, void *options, const char *model) {
    void *session;
#ifdef _WIN32
    wchar_t path[ROOM];
    if (!MultiByteToWideChar(CP_ACP, 0, model, -1, path, ROOM)) fail(model, "is no path");
#else
    const char *path = model;
#endif
    DO(CreateSession, env, path, options, &session, 0, 0, 0, 0);
    return session;
}

int main(int argc, char **argv) {
    if (argc < 5) fail(argv[0], "LIBRARY MODEL FOLDER LEVEL [COUNT [NAME SHAPE FILE]...]... is expected");
    const Base *base = open_library(argv[1]);
    api = base->GetApi(API_VERSION);
    if (!api) fail(argv[1], "is older than API 17");
    printf("version %s\n", base->GetVersionString());

    void *env, *options, *allocator, *values[MOST], *results[MOST];
    char *names[MOST], *wanted[MOST];
    size_t inputs, outputs, number = 0;
    DO(CreateEnv, 2 /* warnings */, "run_model", &env, 0, 0, 0, 0, 0);
    DO(CreateSessionOptions, &options, 0, 0, 0, 0, 0, 0, 0);
    DO(SetSessionGraphOptimizationLevel, options, (intptr_t)atoi(argv[4]), 0, 0, 0, 0, 0, 0);
    void *session = open_session(env, options, argv[2]);
    DO(GetAllocatorWithDefaultOptions, &allocator, 0, 0, 0, 0, 0, 0, 0);
    DO(SessionGetInputCount, session, &inputs, 0, 0, 0, 0, 0, 0);
    DO(SessionGetOutputCount, session, &outputs, 0, 0, 0, 0, 0, 0);
    if (inputs > MOST || outputs > MOST) fail(argv[2], "has too many inputs or outputs");
    for (size_t i = 0; i < inputs; i++) DO(SessionGetInputName, session, i, allocator, &names[i], 0, 0, 0, 0);
    for (size_t i = 0; i < outputs; i++) DO(SessionGetOutputName, session, i, allocator, &wanted[i], 0, 0, 0, 0);

    for (int at = 5; at < argc;) {
        Feed feeds[MOST];
        int count = atoi(argv[at++]);
        if (count < 0 || count > MOST || argc - at < 3 * count) fail(argv[0], "COUNT [NAME SHAPE FILE]... is expected");
        for (int i = 0; i < count; i++, at += 3) feeds[i] = parse_feed(argv + at);
        for (size_t i = 0; i < inputs; i++) values[i] = make_input(session, allocator, i, names[i], feeds, count);
        memset(results, 0, sizeof results);
        DO(Run, session, 0, names, values, inputs, wanted, outputs, results);
        printf("run\n");
        for (size_t i = 0; i < outputs; i++) number = write_value(results[i], allocator, wanted[i], argv[3], number);
    }
    return fflush(stdout) != 0;
}
