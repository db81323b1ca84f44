#pragma once

#include <string>

#include "common/contract/names.h"

namespace tessera::webhook {

/// How libtessera.so reaches a container; see README.md for what each needs.
enum class Delivery { kImage, kInit, kHostPath };

/// What admission is configured with. Const after start, but for `delivery` where it is found out.
struct Options {
  std::string scheduler_name{names::kSchedulerName};
  std::string runtime_class;  ///< empty: spec.runtimeClassName is left alone
  Delivery delivery = Delivery::kInit;
  std::string library_image;  ///< kImage: libtessera.so at its root; kInit: also `cp` in its PATH
  std::string library_host_path;           ///< kHostPath: the folder of libtessera.so on each node
  bool allow_mps = false;                  ///< isolation mps, which mounts a folder of the node
  std::string mps_root = names::kMpsRoot;  ///< that folder: the agents' --mps-root
  /// May pods ask for host memory beyond their share of a GPU?
  bool allow_memory_oversubscription = false;
};

}  // namespace tessera::webhook
