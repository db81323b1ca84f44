#pragma once

#include <string>
#include <string_view>

#include "sim/scheduler/extender.h"

/// The extender API v1 as kube-scheduler speaks it: capitalised Go names, explicit nulls, a Pod
/// without apiVersion and kind. Pure. Decoders refuse wrong shapes and name the field.
namespace tessera::sim::wire {

std::string EncodeExtenderArgs(const rapidjson::Value& pod, const std::vector<std::string>& nodes);
std::string EncodeBindingArgs(const BindingArgs& args);

/// A non-empty "Error" is an Error. NodeNames null: no node passes.
Result<FilterAnswer> DecodeFilterResult(std::string_view text);
Result<std::map<std::string, std::int64_t>> DecodeHostPriorities(std::string_view text);
Result<void> DecodeBindingResult(std::string_view text);

}  // namespace tessera::sim::wire
