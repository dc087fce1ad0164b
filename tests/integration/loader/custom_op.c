/* A library with one custom operator, test.domain::Twice: y = 2 x, for floats. */
#include <onnxruntime_c_api.h>

#define OP_API_VERSION 17

static const OrtApi* api;

static void* create_kernel(const OrtCustomOp* op, const OrtApi* table, const OrtKernelInfo* info) {
  (void)table, (void)info;
  return (void*)op;
}
static void destroy_kernel(void* kernel) { (void)kernel; }
static const char* name(const OrtCustomOp* op) { return (void)op, "Twice"; }
static const char* provider(const OrtCustomOp* op) { return (void)op, (const char*)0; }
static ONNXTensorElementDataType type(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}
static size_t one(const OrtCustomOp* op) { return (void)op, 1; }
static OrtCustomOpInputOutputCharacteristic required(const OrtCustomOp* op, size_t index) {
  return (void)op, (void)index, INPUT_OUTPUT_REQUIRED;
}
static OrtMemType memory(const OrtCustomOp* op, size_t index) { return (void)op, (void)index, OrtMemTypeDefault; }
static int since(const OrtCustomOp* op) { return (void)op, 1; }
static int until(const OrtCustomOp* op) { return (void)op, 1000; }

static OrtStatus* twice(OrtKernelContext* context) {
  const OrtValue* x;
  OrtValue* y;
  OrtTensorTypeAndShapeInfo* info;
  int64_t shape[8];
  size_t rank, count, i;
  float *in, *out;
  OrtStatus* status = api->KernelContext_GetInput(context, 0, &x);
  if (!status) status = api->GetTensorTypeAndShape(x, &info);
  if (status) return status;
  status = api->GetDimensionsCount(info, &rank);
  if (!status) status = api->GetDimensions(info, shape, rank);
  if (!status) status = api->GetTensorShapeElementCount(info, &count);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (!status) status = api->KernelContext_GetOutput(context, 0, shape, rank, &y);
  if (!status) status = api->GetTensorMutableData((OrtValue*)x, (void**)&in);
  if (!status) status = api->GetTensorMutableData(y, (void**)&out);
  for (i = 0; !status && i < count; ++i) out[i] = 2 * in[i];
  return status;
}

static void compute(void* kernel, OrtKernelContext* context) {
  OrtStatus* status = twice(context);
  (void)kernel;
  if (status) api->ReleaseStatus(status);
}

static OrtCustomOp op = {
    .version = OP_API_VERSION,
    .CreateKernel = create_kernel,
    .GetName = name,
    .GetExecutionProviderType = provider,
    .GetInputType = type,
    .GetInputTypeCount = one,
    .GetOutputType = type,
    .GetOutputTypeCount = one,
    .KernelCompute = compute,
    .KernelDestroy = destroy_kernel,
    .GetInputCharacteristic = required,
    .GetOutputCharacteristic = required,
    .GetInputMemoryType = memory,
    .GetStartVersion = since,
    .GetEndVersion = until,
};

__attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  OrtCustomOpDomain* domain;
  OrtStatus* status;
  api = base->GetApi(OP_API_VERSION);
  status = api->CreateCustomOpDomain("test.domain", &domain); /* lives as long as the process */
  if (!status) status = api->CustomOpDomain_Add(domain, &op);
  if (!status) status = api->AddCustomOpDomain(options, domain);
  return status;
}
