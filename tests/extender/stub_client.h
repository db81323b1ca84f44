#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "common/json/json.h"
#include "common/kube/client.h"

namespace tessera::extender {

/// An API server of pods alone, without sockets: GET, and POST of a Binding with the uid
/// precondition, merged annotations and 409. Keeps a journal. Faults: `before_post` may refuse a
/// POST, `after_post` may lose its answer. Thread-safe.
class StubClient final : public kube::Client {
 public:
  struct Pod {
    std::string uid;
    std::string json_annotations = "{}";  ///< metadata.annotations
    std::string json_limits = "{}";       ///< resources.limits of the one container
    bool managed = true;
    std::string node{};
    std::map<std::string, std::string> bound_annotations{};
  };
  using Fault = std::function<Result<void>(const std::string& path)>;

  void SetPod(const std::string& name, Pod pod) {
    const std::lock_guard lock(mu_);
    pods_["/api/v1/namespaces/default/pods/" + name] = std::move(pod);
  }
  Pod GetPod(const std::string& name) {
    const std::lock_guard lock(mu_);
    return pods_.at("/api/v1/namespaces/default/pods/" + name);
  }
  std::vector<std::string> journal() {
    const std::lock_guard lock(mu_);
    return journal_;
  }
  std::string last_body() {
    const std::lock_guard lock(mu_);
    return last_body_;
  }

  Fault before_post;
  Fault after_post;
  Fault before_get;

  Result<rapidjson::Document> Get(const std::string& path) override {
    if (before_get) {
      if (auto ok = before_get(path); !ok) return tl::make_unexpected(ok.error());
    }
    const std::lock_guard lock(mu_);
    journal_.push_back("GET " + path);
    const auto found = pods_.find(path);
    if (found == pods_.end()) return Fail(Errc::kNotFound, "pods \"" + path + "\" not found");
    return json::Parse(Text(path, found->second));
  }

  Result<rapidjson::Document> Post(const std::string& path, const std::string& body) override {
    if (before_post) {
      if (auto ok = before_post(path); !ok) return tl::make_unexpected(ok.error());
    }
    auto answer = Bind(path, body);
    if (after_post) {
      if (auto ok = after_post(path); !ok) return tl::make_unexpected(ok.error());
    }
    return answer;
  }

  Result<kube::ListResult> List(const std::string&) override { return Unused(); }
  Result<rapidjson::Document> Put(const std::string&, const std::string&) override {
    return Unused();
  }
  Result<rapidjson::Document> Patch(const std::string&, kube::PatchType,
                                    const std::string&) override {
    return Unused();
  }
  Result<void> Delete(const std::string&) override { return Unused(); }
  Result<void> Watch(const std::string&, const std::string&,
                     const std::function<void(kube::WatchEvent&)>&, std::stop_token) override {
    return Unused();
  }

 private:
  static tl::unexpected<Error> Unused() { return Fail(Errc::kInternal, "not expected here"); }

  static std::string Text(const std::string& path, const Pod& pod) {
    json::Writer extra;
    extra.StartObject();
    for (const auto& [key, value] : pod.bound_annotations) {
      extra.Key(key);
      extra.String(value);
    }
    extra.EndObject();
    const std::string annotations =
        pod.bound_annotations.empty() ? pod.json_annotations : extra.Take();
    return R"({"metadata":{"namespace":"default","name":")" + path.substr(path.rfind('/') + 1) +
           R"(","uid":")" + pod.uid + R"(","labels":{"tessera.dev/managed":")" +
           (pod.managed ? "true" : "no") + R"("},"annotations":)" + annotations +
           R"(},"spec":{"nodeName":")" + pod.node +
           R"(","containers":[{"name":"c","resources":{"limits":)" + pod.json_limits + "}}]}}";
  }

  Result<rapidjson::Document> Bind(const std::string& path, const std::string& body) {
    const std::lock_guard lock(mu_);
    journal_.push_back("POST " + path);
    last_body_ = body;
    const auto found = pods_.find(path.substr(0, path.rfind("/binding")));
    if (found == pods_.end()) return Fail(Errc::kNotFound, "pod not found");
    const auto binding = json::Parse(body);
    if (!binding) return tl::make_unexpected(binding.error());
    Pod& pod = found->second;
    if (json::GetString(*json::FindPath(*binding, {"metadata"}), "uid").value_or("") != pod.uid) {
      return Fail(Errc::kConflict, "precondition failed: uid");
    }
    if (!pod.node.empty())
      return Fail(Errc::kConflict, "pod is already assigned to node " + pod.node);
    pod.node = json::GetString(*json::FindPath(*binding, {"target"}), "name").value_or("");
    for (const auto& member : json::FindPath(*binding, {"metadata", "annotations"})->GetObject()) {
      pod.bound_annotations[std::string(json::View(member.name))] = json::View(member.value);
    }
    return json::Parse(R"({"kind":"Status","status":"Success"})");
  }

  std::mutex mu_;
  std::map<std::string, Pod> pods_;
  std::vector<std::string> journal_;
  std::string last_body_;
};

}  // namespace tessera::extender
