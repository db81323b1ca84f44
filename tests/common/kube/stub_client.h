#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "common/json/json.h"
#include "common/kube/client.h"

namespace tessera::kube {

/// A client without a server: every call goes to `answer` and is journalled as "METHOD path".
class StubClient : public Client {
 public:
  using Answer = std::function<Result<rapidjson::Document>(
      const std::string& method, const std::string& path, const std::string& body)>;
  explicit StubClient(Answer answer) : answer_(std::move(answer)) {}

  Result<rapidjson::Document> Get(const std::string& path) override {
    return Call("GET", path, "");
  }
  Result<ListResult> List(const std::string& path) override {
    TESSERA_TRY(auto items, Call("LIST", path, ""));
    return ListResult{.resource_version = "1", .items = std::move(items)};
  }
  Result<rapidjson::Document> Post(const std::string& path, const std::string& body) override {
    return Call("POST", path, body);
  }
  Result<rapidjson::Document> Put(const std::string& path, const std::string& body) override {
    return Call("PUT", path, body);
  }
  Result<rapidjson::Document> Patch(const std::string& path, PatchType,
                                    const std::string& body) override {
    return Call("PATCH", path, body);
  }
  Result<void> Delete(const std::string& path) override {
    TESSERA_TRY([[maybe_unused]] const auto gone, Call("DELETE", path, ""));
    return {};
  }
  Result<void> Watch(const std::string& path, const std::string& version,
                     const std::function<void(WatchEvent&)>&, std::stop_token) override {
    TESSERA_TRY([[maybe_unused]] const auto ended, Call("WATCH", path + "@" + version, ""));
    return {};
  }

  std::vector<std::string> journal() const {
    const std::lock_guard lock(mu_);
    return journal_;
  }

 private:
  Result<rapidjson::Document> Call(const std::string& method, const std::string& path,
                                   const std::string& body) {
    {
      const std::lock_guard lock(mu_);
      journal_.push_back(method + " " + path);
    }
    return answer_(method, path, body);
  }

  const Answer answer_;
  mutable std::mutex mu_;
  std::vector<std::string> journal_;
};

}  // namespace tessera::kube
