#pragma once

#include <optional>

#include "common/abi/cuda_share.h"
#include "sim/cuda/memory.h"

/// cuIpc*: an allocation of one process, mapped by another. The handle says where the maker's
/// memory file is (a descriptor of a living process), and goes stale with the allocation. Any
/// thread.
namespace tessera::sim::cuda {

/// A handle for the allocation. False: the host has no memory for it.
/// REQUIRES: it is of MemoryKind::kDevice, and nothing that is queued uses it.
bool ExportBlock(const Allocation& block, CUipcMemHandle& handle);
/// The allocation goes back to its device: its handles lead nowhere from now on.
void ForgetExport(const Allocation& block);

/// Maps what a handle names into `ctx`; once more where it is there already. The answer as the
/// driver's call gives it.
CUresult ImportBlock(const ContextPtr& ctx, const CUipcMemHandle& handle, CUdeviceptr& ptr);
/// One cuIpcCloseMemHandle; false: nothing was opened there.
bool CloseImport(CUdeviceptr ptr);
/// Its context has ended.
void ForgetImport(CUdeviceptr ptr);

}  // namespace tessera::sim::cuda
