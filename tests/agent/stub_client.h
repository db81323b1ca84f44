#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "common/json/json.h"
#include "common/kube/client.h"

namespace tessera::agent {

/// One node behind a kube::Client, with a journal of requests and a fault to inject. Merge patches
/// of annotations and capacity are applied as the API server would. Thread-safe.
class StubClient final : public kube::Client {
 public:
  /// The node as JSON, for tests to look at and to change behind the publisher's back.
  std::string node() const {
    const std::lock_guard lock(mu_);
    return json::Dump(node_);
  }
  void SetNode(const std::string& text) {
    const std::lock_guard lock(mu_);
    node_ = json::Parse(text).value();
  }
  std::vector<std::string> journal() const {
    const std::lock_guard lock(mu_);
    return journal_;
  }
  void ClearJournal() {
    const std::lock_guard lock(mu_);
    journal_.clear();
  }
  /// The next `times` requests whose journal entry contains `what` fail with this error.
  void FailNext(int times, std::string what, Error error) {
    const std::lock_guard lock(mu_);
    failures_ = times;
    fail_what_ = std::move(what);
    failure_ = std::move(error);
  }

  Result<rapidjson::Document> Get(const std::string& path) override {
    const std::lock_guard lock(mu_);
    if (auto failed = Enter("GET " + path)) return tl::make_unexpected(*failed);
    return Copy();
  }
  Result<rapidjson::Document> Patch(const std::string& path, kube::PatchType type,
                                    const std::string& body) override {
    const std::lock_guard lock(mu_);
    const bool merge = type == kube::PatchType::kMerge;
    if (auto failed = Enter((merge ? "MERGE " : "OTHER ") + path)) {
      return tl::make_unexpected(*failed);
    }
    const auto patch = json::Parse(body).value();
    Merge(node_, patch);
    return Copy();
  }

  Result<kube::ListResult> List(const std::string&) override { return Unused(); }
  Result<rapidjson::Document> Post(const std::string&, const std::string&) override {
    return Unused();
  }
  Result<rapidjson::Document> Put(const std::string&, const std::string&) override {
    return Unused();
  }
  Result<void> Delete(const std::string&) override { return Unused(); }
  Result<void> Watch(const std::string&, const std::string&,
                     const std::function<void(kube::WatchEvent&)>&, std::stop_token) override {
    return Unused();
  }

 private:
  static tl::unexpected<Error> Unused() { return Fail(Errc::kInternal, "not part of the stub"); }

  std::optional<Error> Enter(const std::string& entry) {
    journal_.push_back(entry);
    if (failures_ == 0 || entry.find(fail_what_) == std::string::npos) return std::nullopt;
    --failures_;
    return failure_;
  }
  rapidjson::Document Copy() const {
    rapidjson::Document copy;
    copy.CopyFrom(node_, copy.GetAllocator());
    return copy;
  }
  void Merge(rapidjson::Value& target, const rapidjson::Value& patch) {
    for (const auto& member : patch.GetObject()) {
      auto found = target.FindMember(member.name);
      if (found != target.MemberEnd() && found->value.IsObject() && member.value.IsObject()) {
        Merge(found->value, member.value);
        continue;
      }
      rapidjson::Value value;
      value.CopyFrom(member.value, node_.GetAllocator());
      if (found != target.MemberEnd()) {
        found->value = value;
      } else {
        target.AddMember(rapidjson::Value(member.name, node_.GetAllocator()), value,
                         node_.GetAllocator());
      }
    }
  }

  mutable std::mutex mu_;
  rapidjson::Document node_ = json::Parse(R"({"metadata":{"name":"n1"}})").value();
  std::vector<std::string> journal_;
  int failures_ = 0;
  std::string fail_what_;
  Error failure_;
};

}  // namespace tessera::agent
