#include "common/kube/kubeconfig.h"

#include <stdlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "tests/common/http/test_client.h"

namespace tessera::kube {
namespace {

using testing::HasSubstr;

/// A kubeconfig with these lines in the cluster and the user.
std::string Text(const std::string& cluster, const std::string& user) {
  return "current-context: c\n"
         "contexts:\n"
         "- {name: other, context: {cluster: nowhere, user: nobody}}\n"
         "- {name: c, context: {cluster: k, user: u}}\n"
         "clusters:\n"
         "- name: k\n"
         "  cluster: {" +
         cluster + "}\n" +
         "users:\n"
         "- name: u\n"
         "  user: {" +
         user + "}\n";
}

class KubeconfigTest : public testing::Test {
 protected:
  http::TempDir dir_;
};

TEST_F(KubeconfigTest, ReadsEveryFieldOfTheCurrentContext) {
  const auto config = ParseKubeconfig(
      Text("server: 'https://10.0.0.1:6443/', certificate-authority-data: " + base64::Encode("CA") +
               ", tls-server-name: kube, proxy-url: 'http://p:1', insecure-skip-tls-verify: true",
           "client-certificate-data: " + base64::Encode("CERT") +
               ", client-key-data: " + base64::Encode("KEY") + ", token: abc"),
      "/etc/kc");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->ca_data, "CA");
  EXPECT_EQ(config->tls_server_name, "kube");
  EXPECT_EQ(config->proxy_url, "http://p:1");
  EXPECT_TRUE(config->insecure_skip_tls_verify);
  EXPECT_EQ(config->client_cert_data, "CERT");
  EXPECT_EQ(config->client_key_data, "KEY");
  EXPECT_EQ(config->token, "abc");
}

TEST_F(KubeconfigTest, PathsAreRelativeToTheFile) {
  dir_.Write("c.crt", "CERT");
  dir_.Write("c.key", "KEY");
  const auto config = ParseKubeconfig(
      Text("server: 'https://x', certificate-authority: pki/ca.crt",
           "client-certificate: c.crt, client-key: " + dir_.path() + "/c.key, tokenFile: tok"),
      dir_.path() + "/config");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ca_file, dir_.path() + "/pki/ca.crt");
  EXPECT_EQ(config->client_cert_data, "CERT");
  EXPECT_EQ(config->client_key_data, "KEY");
  EXPECT_EQ(config->token_file, dir_.path() + "/tok");
}

TEST_F(KubeconfigTest, ErrorsNameFileAndField) {
  struct Case {
    std::string text;
    std::string said;
  };
  const std::string good = "server: 'https://x'";
  const Case cases[] = {
      {"", "top level must be a mapping"},
      {"[1]", "top level must be a mapping"},
      {"a: [", "/etc/kc"},
      {"contexts: []", "current-context is missing"},
      {"current-context: {}", "current-context must be a string"},
      {"current-context: x\ncontexts: 7", "contexts[x] is missing"},
      {"current-context: x\ncontexts: [{name: x}]", "clusters[] is missing"},
      {"current-context: x\ncontexts: [{name: x, context: {cluster: k}}]\nclusters: [7, {name: "
       "[k]}]",
       "clusters[k] is missing"},
      {Text("server: 7", ""), "clusters[k].cluster.server must be a URL"},
      {Text("", ""), "clusters[k].cluster.server must be a URL"},
      {Text(good + ", certificate-authority-data: '***'", ""),
       "certificate-authority-data is not base64"},
      {Text(good + ", insecure-skip-tls-verify: maybe", ""),
       "insecure-skip-tls-verify must be true or false"},
      {Text(good, "exec: {command: aws}"), "users[u].user.exec is not supported"},
      {Text(good, "auth-provider: {name: gcp}"), "users[u].user.auth-provider is not supported"},
      {Text(good, "username: a"), "users[u].user.username is not supported"},
      {Text(good, "client-certificate-data: QQ=="), "client-certificate and client-key"},
      {Text(good, "client-certificate: /nowhere/c"),
       "users[u].user.client-certificate: cannot read /nowhere/c"},
      {Text(good, "token: [1]"), "users[u].user.token must be a string"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto config = ParseKubeconfig(c.text, "/etc/kc");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(config.error().message, HasSubstr(c.said));
    EXPECT_THAT(config.error().message, HasSubstr("/etc/kc"));
  }
}

TEST_F(KubeconfigTest, InAPodTheServiceAccountIsUsed) {
  dir_.Write("token", "t");
  dir_.Write("ca.crt", "CA");
  const auto config = InClusterConfig("fd00::1", "443", dir_.path());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->token_file, dir_.path() + "/token");
  EXPECT_EQ(config->ca_file, dir_.path() + "/ca.crt");
  EXPECT_EQ(InClusterConfig("10.0.0.1", "6443", dir_.path())->server, "https://10.0.0.1:6443");
  EXPECT_THAT(InClusterConfig("h", "1", "/nowhere").error().message, HasSubstr("/nowhere/token"));
  EXPECT_FALSE(InClusterConfig("", "1", dir_.path()));
  dir_.Write("token", "");
  EXPECT_THAT(InClusterConfig("h", "1", dir_.path()).error().message, HasSubstr("is empty"));
}

TEST_F(KubeconfigTest, LoadConfigLooksInTheUsualPlacesInOrder) {
  for (const char* name : {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"})
    unsetenv(name);
  setenv("HOME", dir_.path().c_str(), 1);
  EXPECT_EQ(LoadConfig("", "tessera-x").error().code, Errc::kNotFound);
  const std::string flag = dir_.Write("flag", Text("server: 'https://flag'", ""));
  const std::string env = dir_.Write("env", Text("server: 'https://env'", ""));
  setenv("KUBECONFIG", ("/nowhere:" + env).c_str(), 1);
  EXPECT_EQ(LoadConfig(flag, "tessera-x")->server, "https://flag");
  EXPECT_EQ(LoadConfig("", "tessera-x")->server, "https://env");
  EXPECT_THAT(LoadConfig("", "tessera-x")->user_agent,
              testing::MatchesRegex("tessera-x/[0-9.]+ \\(linux/.*\\)"));
  setenv("KUBECONFIG", "/nowhere", 1);
  EXPECT_THAT(LoadConfig("", "x").error().message, HasSubstr("/nowhere"));
  unsetenv("KUBECONFIG");
  setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
  EXPECT_THAT(LoadConfig("", "x").error().message, HasSubstr("KUBERNETES_SERVICE_PORT"));
  unsetenv("KUBERNETES_SERVICE_HOST");
  EXPECT_THAT(LoadConfig("/nowhere/kc", "x").error().message, HasSubstr("/nowhere/kc"));
}

TEST(Base64, RoundTripsAndRefusesWhatItIsNot) {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\x00\x80"}) {
    EXPECT_EQ(base64::Decode(base64::Encode(text)), text);
  }
  EXPECT_EQ(base64::Encode("foob"), "Zm9vYg==");
  EXPECT_EQ(base64::Decode("Zm9v\nYg=="), "foob");
  for (const char* bad : {"Z", "Zm9", "Zm9v=", "=Zm9", "Zm*v", "Z===", "Zm9vYg==Zm9v"}) {
    EXPECT_FALSE(base64::Decode(bad)) << bad;
  }
}

}  // namespace
}  // namespace tessera::kube
