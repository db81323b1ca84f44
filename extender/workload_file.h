#pragma once

#include <string>

namespace tessera::extender {

/// What was learned of the workload, as text in a file. An empty path: nothing is kept.

/// Empty if there is no such file.
std::string ReadWorkload(const std::string& path);
/// Atomically: a reader sees the old or the new text. A failure is logged; it costs what was
/// learned and no more. One thread at a time.
void WriteWorkload(const std::string& path, const std::string& text);

}  // namespace tessera::extender
