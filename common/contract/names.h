#pragma once

#include <string>
#include <string_view>

/// Every name that two of our components, or we and our users, must agree on. Nothing but
/// constants: the interceptor includes this header too.
namespace tessera::names {

// --- Identity
// -------------------------------------------------------------------------------------
inline constexpr std::string_view kPrefix = "tessera.dev/";
inline constexpr std::string_view kSchedulerName = "tessera-scheduler";

// --- What a pod asks for: annotations
// --------------------------------------------------------------
inline constexpr std::string_view kGpuCount = "tessera.dev/gpu-count";
inline constexpr std::string_view kGpuMemory =
    "tessera.dev/gpu-memory";  // also a resource: MiB per GPU
inline constexpr std::string_view kGpuCores =
    "tessera.dev/gpu-cores";  // also a resource: percent per GPU
/// "true": what a container allocates beyond its share of a GPU goes to host memory.
inline constexpr std::string_view kGpuMemoryOversubscribe = "tessera.dev/gpu-memory-oversubscribe";
inline constexpr std::string_view kGpuHostMemory =
    "tessera.dev/gpu-host-memory";  // at most that much, for each GPU
inline constexpr std::string_view kContainer = "tessera.dev/container";
inline constexpr std::string_view kComputePolicy = "tessera.dev/compute-policy";
inline constexpr std::string_view kGpuModel = "tessera.dev/gpu-model";
inline constexpr std::string_view kGpuUuid = "tessera.dev/gpu-uuid";
inline constexpr std::string_view kNodePolicy = "tessera.dev/node-policy";
inline constexpr std::string_view kGpuPolicy = "tessera.dev/gpu-policy";
inline constexpr std::string_view kTopology = "tessera.dev/topology";
inline constexpr std::string_view kIsolation = "tessera.dev/isolation";

// --- What a container asks for: resources (requests and limits)
// ------------------------------------
inline constexpr std::string_view kResourceGpu = "tessera.dev/gpu";
inline constexpr std::string_view kResourceGpuMemory = kGpuMemory;
inline constexpr std::string_view kResourceGpuMemoryPercent = "tessera.dev/gpu-memory-percent";
inline constexpr std::string_view kResourceGpuCores = kGpuCores;

// --- What we write
// ---------------------------------------------------------------------------------
/// Pod, in the Binding: the record (JSON, contract/assignment.h).
inline constexpr std::string_view kAssignment = "tessera.dev/assignment";
/// Node: what hardware exists (JSON, contract/inventory.h).
inline constexpr std::string_view kInventory = "tessera.dev/inventory";
/// Label of every pod that the webhook has made runnable; watches select by it.
inline constexpr std::string_view kManagedLabel = "tessera.dev/managed";
/// Pod, in the Binding, one pair for each container with a GPU. <slot> is c0, c1, ... for
/// spec.containers and i0, i1, ... for spec.initContainers: names may be too long for a key.
///   tessera.dev/<slot>-devices   GPU uuids, comma separated: NVIDIA_VISIBLE_DEVICES
///   tessera.dev/<slot>-limits    the limits text (contract/limits.h): TESSERA_LIMITS and the
///   limits file
inline constexpr std::string_view kDevicesSuffix = "-devices";
inline constexpr std::string_view kLimitsSuffix = "-limits";
/// And with isolation mps:
///   tessera.dev/<slot>-mps-threads   percent: CUDA_MPS_ACTIVE_THREAD_PERCENTAGE
///   tessera.dev/<slot>-mps-memory    "0=3000M": CUDA_MPS_PINNED_DEVICE_MEM_LIMIT
inline constexpr std::string_view kMpsThreadsSuffix = "-mps-threads";
inline constexpr std::string_view kMpsMemorySuffix = "-mps-memory";

// --- Inside the container
// --------------------------------------------------------------------------
inline constexpr const char* kEnvVisibleDevices = "NVIDIA_VISIBLE_DEVICES";
inline constexpr const char* kEnvPreload = "LD_PRELOAD";
/// The limits text. Read only where no limits file is mounted.
inline constexpr const char* kEnvLimits = "TESSERA_LIMITS";
/// Where the limits file is; looked at only if kLimitsDir does not exist in the container.
inline constexpr const char* kEnvLimitsFile = "TESSERA_LIMITS_FILE";
/// Folder of the region file; looked at only if kRegionDir does not exist in the container.
inline constexpr const char* kEnvRegionDir = "TESSERA_REGION_DIR";
/// "debug" traces the interceptor's decisions to stderr.
inline constexpr const char* kEnvLog = "TESSERA_LOG";

/// Of CUDA: where a client or a command finds the control daemon, and what a client may take.
inline constexpr const char* kEnvMpsPipe = "CUDA_MPS_PIPE_DIRECTORY";
inline constexpr const char* kEnvMpsLog = "CUDA_MPS_LOG_DIRECTORY";
inline constexpr const char* kEnvMpsThreads = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
inline constexpr const char* kEnvMpsMemory = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT";

inline constexpr const char* kLibraryName = "libtessera.so";
inline constexpr const char* kLibraryDir = "/usr/local/tessera";
inline constexpr const char* kLibraryPath = "/usr/local/tessera/libtessera.so";
inline constexpr const char* kLimitsDir = "/etc/tessera";
inline constexpr const char* kLimitsPath = "/etc/tessera/limits";
inline constexpr const char* kLimitsFileName = "limits";
inline constexpr const char* kRegionDir = "/run/tessera";
inline constexpr const char* kRegionFileName = "region";
inline constexpr const char* kMpsPipeDir = "/run/tessera-mps";
inline constexpr const char* kSharedMemoryDir = "/dev/shm";

// --- Volumes that the webhook adds; the agent finds regions by the second
// --------------------------
inline constexpr std::string_view kVolumeLibrary = "tessera-library";
inline constexpr std::string_view kVolumeRegionPrefix = "tessera-region-";  // + <slot>
inline constexpr std::string_view kVolumeLimitsPrefix = "tessera-limits-";  // + <slot>
inline constexpr std::string_view kVolumeMps = "tessera-mps";
inline constexpr std::string_view kInstallContainer = "tessera-install";

// --- MPS on the node: below the root that agent and webhook are told, by GPU uuid
// (agent/README.md)
// --------------------------
inline constexpr const char* kMpsRoot = "/run/tessera-mps";  ///< the default root
inline constexpr const char* kMpsReadyDir = "ready";
inline constexpr const char* kMpsPipeName = "pipe";
inline constexpr const char* kMpsLogName = "log";
inline constexpr const char* kMpsShmName = "shm";

// --- Ports
// -----------------------------------------------------------------------------------------
inline constexpr int kExtenderPort = 9610;
inline constexpr int kExtenderMetricsPort = 9611;  ///< health and metrics only
inline constexpr int kWebhookPort = 9620;
inline constexpr int kAgentPort = 9630;

/// "tessera.dev/c0-limits" from "c0" and "-limits".
inline std::string SlotKey(std::string_view slot, std::string_view suffix) {
  return std::string(kPrefix).append(slot).append(suffix);
}

}  // namespace tessera::names
