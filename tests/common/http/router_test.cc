#include "common/http/router.h"

#include <gtest/gtest.h>

namespace tessera::http {
namespace {

StreamHandler Says(const std::string& text) {
  return [text](const Request&) { return StreamResponse{.head = {.body = text}}; };
}

Router Make() {
  Router router;
  router.Add("GET", "/api/v1/pods", Says("list"));
  router.Add("POST", "/api/v1/pods", Says("create"));
  router.Add("GET", "/api/v1/pods/([^/]+)", Says("get"));
  router.Add("GET", "/api/.*", Says("rest"));
  return router;
}

TEST(Router, TakesTheFirstRouteThatFits) {
  const Router router = Make();
  struct Case {
    const char* method;
    std::string path;
    std::string says;
    int status;
  };
  const Case cases[] = {
      {"GET", "/api/v1/pods", "list", 200},
      {"POST", "/api/v1/pods", "create", 200},
      {"GET", "/api/v1/pods/a", "get", 200},
      {"HEAD", "/api/v1/pods/a", "get", 200},
      {"GET", "/api/v1/pods/a/b", "rest", 200},
      {"DELETE", "/api/v1/pods", "", 405},
      {"GET", "/", "", 404},
      {"GET", "", "", 404},
      {"POST", "/nothing", "", 404},
      {"GET", "/x/api/v1/pods", "", 404},
      {"GET", "/api/" + std::string(3000, 'x'), "", 414},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.method) + " " + c.path.substr(0, 40));
    const auto match = router.Find(c.method, c.path);
    EXPECT_EQ(match ? 200 : match.error().status, c.status);
    EXPECT_EQ(match ? (*match->handler)({}).head.body : "", c.says);
  }
}

TEST(Router, GivesGroupsAndAllowedMethods) {
  const Router router = Make();
  EXPECT_EQ(router.Find("GET", "/api/v1/pods/web")->groups,
            (std::vector<std::string>{"/api/v1/pods/web", "web"}));
  const auto refusal = router.Find("PUT", "/api/v1/pods");
  ASSERT_FALSE(refusal);
  EXPECT_EQ(refusal.error().headers.find("Allow")->second, "GET, POST");
}

}  // namespace
}  // namespace tessera::http
