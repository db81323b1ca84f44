// Normalising a pod (stating CanonicalResources, dropping foreign names) does not change what it
// asks for.
#include <random>

#include <gtest/gtest.h>

#include "common/contract/names.h"
#include "tests/contract/pods.h"

namespace tessera::contract {
namespace {

using binpack::ContainerKind;
using binpack::ContainerRequest;
using binpack::PodRequest;

/// The resources of `request` as a normalised container's limits.
std::string Limits(const binpack::GpuRequest& request) {
  std::string text;
  for (const auto& [name, value] : CanonicalResources(request)) {
    text += (text.empty() ? "\"" : ",\"") + name + "\":\"" + std::to_string(value) + "\"";
  }
  return text;
}

/// `names` in order, with the limits that `request` states for each.
std::string NormalContainers(const PodRequest& request, bool init, int count) {
  std::string list;
  for (int i = 0; i < count; ++i) {
    std::string limits;
    std::string more;
    for (const ContainerRequest& container : request.containers) {
      if ((container.kind != ContainerKind::kApp) != init || container.index != i) continue;
      limits = Limits(container.gpu);
      if (container.kind == ContainerKind::kSidecar) more = R"(,"restartPolicy":"Always")";
    }
    list += (i == 0 ? "" : ",") + Container((init ? "i" : "c") + std::to_string(i), limits, more);
  }
  return "[" + list + "]";
}

class RandomPod {
 public:
  explicit RandomPod(unsigned seed) : random_(seed) {}

  std::string Annotations() {
    std::string text;
    const auto add = [&](const char* name, const std::string& value) {
      if (Below(2) == 0) return;
      text += (text.empty() ? "\"" : ",\"") + std::string(name) + "\":\"" + value + "\"";
    };
    add("tessera.dev/gpu-count", std::to_string(Below(4)));
    add("tessera.dev/gpu-memory", Pick({"3000Mi", "25%", "100%", "3000M", "1.5Gi", "7e9"}));
    add("tessera.dev/gpu-cores", std::to_string(Below(101)));
    add("tessera.dev/compute-policy", Pick({"best-effort", "burst-share", "fixed-share"}));
    return text;
  }
  std::string Containers(bool init, int count) {
    std::string list;
    for (int i = 0; i < count; ++i) {
      list += (i == 0 ? "" : ",") +
              Container((init ? "i" : "c") + std::to_string(i), Resources(),
                        init && Below(2) == 0 ? R"(,"restartPolicy":"Always")" : "");
    }
    return "[" + list + "]";
  }
  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

 private:
  std::string Pick(std::initializer_list<const char*> words) {
    return *(words.begin() + Below(static_cast<int>(words.size())));
  }
  std::string Resources() {
    const auto amount = std::to_string(1 + Below(100));
    switch (Below(8)) {
      case 0:
        return R"("nvidia.com/gpu":"2")";
      case 1:
        return R"("nvidia.com/gpu":"1","nvidia.com/gpumem":")" + amount +
               R"(","nvidia.com/gpucores":"30")";
      case 2:
        return R"("nvidia.com/gpumem":"0","nvidia.com/gpumem-percentage":")" + amount + "\"";
      case 3:
        return R"("volcano.sh/vgpu-number":"1","volcano.sh/vgpu-memory":")" + amount + "\"";
      case 4:
        return R"("aliyun.com/gpu-mem":")" + amount + "\"";
      case 5:
        return R"("tessera.dev/gpu-memory":")" + amount + R"(","tessera.dev/gpu-cores":")" +
               amount + "\"";
      default:
        return "";
    }
  }
  std::mt19937 random_;
};

TEST(NormalForm, IsAFixpointOfReading) {
  int checked = 0;
  for (unsigned seed = 0; seed < 4000; ++seed) {
    SCOPED_TRACE(seed);
    RandomPod random(seed);
    const int inits = random.Below(3);
    const int apps = 1 + random.Below(3);
    const std::string annotations = random.Annotations();
    const std::string init_list = random.Containers(true, inits);
    const std::string app_list = random.Containers(false, apps);
    const auto first = Decode(PodText(annotations, app_list, init_list));
    if (!first) continue;
    checked += first->containers.empty() ? 0 : 1;
    const auto normal = PodText(annotations, NormalContainers(*first, false, apps),
                                NormalContainers(*first, true, inits));
    const auto second = Decode(normal);
    ASSERT_TRUE(second) << second.error().message << "\n" << normal;
    ASSERT_EQ(*second, *first) << normal;
  }
  EXPECT_GT(checked, 500) << "most random pods must be readable, or this test proves nothing";
}

}  // namespace
}  // namespace tessera::contract
