#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"
#include "interceptor/driver.h"
#include "interceptor/gate.h"
#include "interceptor/scope.h"

// What the gate lets through is waited for in the contexts that are known to have launches, so a
// thread that goes on in another context comes by the gate first.

namespace tessera {
namespace {

template <auto kFunction, typename Arg>
CUresult Switch(Arg arg) {
  const HookScope scope;
  const CUresult result = (scope.real().*kFunction)(arg);
  if (!scope.nested()) gate::EndLeaseOfOtherContext();
  return result;
}

}  // namespace
}  // namespace tessera

using namespace tessera;

CUresult cuCtxSetCurrent(CUcontext ctx) { return Switch<&Driver::cuCtxSetCurrent>(ctx); }
CUresult cuCtxPushCurrent(CUcontext ctx) { return Switch<&Driver::cuCtxPushCurrent>(ctx); }
CUresult cuCtxPushCurrent_v2(CUcontext ctx) { return Switch<&Driver::cuCtxPushCurrent_v2>(ctx); }
CUresult cuCtxPopCurrent(CUcontext* ctx) { return Switch<&Driver::cuCtxPopCurrent>(ctx); }
CUresult cuCtxPopCurrent_v2(CUcontext* ctx) { return Switch<&Driver::cuCtxPopCurrent_v2>(ctx); }
