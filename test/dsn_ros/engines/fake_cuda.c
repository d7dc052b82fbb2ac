/* A CUDA driver without a GPU, for tests: "device" memory is the host's, copies are done at once,
 * and what is given out is counted, so that a test can tell that all of it came back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int devices = 1, live = 0, current = 0;

int cuInit(unsigned flags) { return devices ? 0 : 100; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetCount(int *count) { *count = devices; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Fake GPU", size); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { live++; *context = &live; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { live--; return 0; }
int cuCtxSetCurrent(void *context) { current = context == &live; return current ? 0 : 201; }
static int give(void **memory, size_t size) {
  if (!current) return 201;
  if (size > (1u << 30)) return 2;
  live++;
  *memory = malloc(size);
  return 0;
}
int cuMemAlloc_v2(uint64_t *memory, size_t size) { return give((void **)memory, size); }
int cuMemHostAlloc(void **memory, size_t size, unsigned flags) { return give(memory, size); }
int cuMemFree_v2(uint64_t memory) { live--; free((void *)memory); return 0; }
int cuMemFreeHost(void *memory) { live--; free(memory); return 0; }
int cuMemcpyHtoDAsync_v2(uint64_t to, void *from, size_t size, void *stream) {
  memcpy((void *)to, from, size);
  return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
  memcpy(to, (void *)from, size);
  return 0;
}
int cuStreamCreate(void **stream, unsigned flags) { live++; *stream = &devices; return 0; }
int cuStreamSynchronize(void *stream) { return stream == &devices ? 0 : 400; }
int cuStreamDestroy_v2(void *stream) { live--; return 0; }
int cuGetErrorName(int code, const char **name) {
  *name = code == 100 ? "CUDA_ERROR_NO_DEVICE" : code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : 0;
  return *name ? 0 : 1;
}
