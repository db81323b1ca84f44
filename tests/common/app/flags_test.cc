#include "common/app/flags.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/common/http/test_client.h"

namespace tessera::app {
namespace {

/// Parses a command line; false if it is refused.
bool Parse(const std::string& line, ServerFlags& flags) {
  CLI::App app;
  AddFlags(app, flags);
  try {
    app.parse(line, false);
  } catch (const CLI::ParseError&) {
    return false;
  }
  return true;
}

TEST(Flags, KeepTheDefaultsOfTheProgram) {
  ServerFlags flags;
  flags.http.port = 9610;
  ASSERT_TRUE(Parse("", flags));
  EXPECT_EQ(flags.http.port, 9610);
  EXPECT_EQ(flags.http.bind_address, "127.0.0.1");
  EXPECT_EQ(flags.kube_api_qps, 50);
}

TEST(Flags, AreReadInKubernetesSpelling) {
  ServerFlags flags;
  ASSERT_TRUE(
      Parse("--bind-address=:: --secure-port 1 --tls-cert-file=c --tls-private-key-file=k "
            "--client-ca-file=a --kubeconfig=f --kube-api-qps=2.5 --kube-api-burst=3 "
            "--logging-format=json -v 2",
            flags));
  EXPECT_EQ(flags.http.bind_address, "::");
  EXPECT_EQ(flags.http.port, 1);
  EXPECT_EQ(flags.http.cert_file, "c");
  EXPECT_EQ(flags.http.key_file, "k");
  EXPECT_EQ(flags.http.client_ca_file, "a");
  EXPECT_EQ(flags.kubeconfig, "f");
  EXPECT_EQ(flags.kube_api_qps, 2.5);
  EXPECT_EQ(flags.kube_api_burst, 3);
  EXPECT_EQ(flags.log_format, log::Format::kJson);
  EXPECT_EQ(flags.verbosity, 2);
}

TEST(Flags, WrongOnesAreRefused) {
  for (const char* line :
       {"--port=70000", "--port=x", "--tls-cert-file=c", "--tls-private-key-file=k",
        "--client-ca-file=a", "--kube-api-qps=0", "--kube-api-burst=-1", "--logging-format=xml",
        "-v -1", "--no-such-flag"}) {
    ServerFlags flags;
    EXPECT_FALSE(Parse(line, flags)) << line;
  }
}

bool ParseMetrics(const std::string& line, MetricsFlags& flags) {
  CLI::App app;
  AddMetricsFlags(app, flags);
  try {
    app.parse(line, false);
  } catch (const CLI::ParseError&) {
    return false;
  }
  return true;
}

TEST(MetricsFlags, WithoutAPortThereIsNoListener) {
  MetricsFlags flags;
  ASSERT_TRUE(ParseMetrics("", flags));
  EXPECT_FALSE(flags.Http());
  EXPECT_FALSE(ParseMetrics("--metrics-bind-address=::", flags)) << "an address without a port";
  EXPECT_FALSE(ParseMetrics("--metrics-port=65536", flags));
}

TEST(MetricsFlags, TheListenerIsPlainAndSmall) {
  MetricsFlags flags;
  ASSERT_TRUE(ParseMetrics("--metrics-port=9611", flags));
  const auto http = flags.Http();
  ASSERT_TRUE(http);
  EXPECT_EQ(http->bind_address, "0.0.0.0");
  EXPECT_EQ(http->port, 9611);
  EXPECT_EQ(http->cert_file + http->client_ca_file, "");
  EXPECT_LT(http->max_connections, http::ServerOptions{}.max_connections);
  ASSERT_TRUE(ParseMetrics("--metrics-bind-address=:: --metrics-port=0", flags));
  EXPECT_EQ(flags.Http()->bind_address, "::");
  EXPECT_EQ(flags.Http()->port, 0);
}

TEST(PortFile, HoldsThePortAsALine) {
  ServerFlags flags;
  EXPECT_TRUE(WritePortFile(flags, 1).has_value()) << "no flag, no file";
  const std::string path = ::testing::TempDir() + "/port." + std::to_string(getpid());
  ASSERT_TRUE(Parse("--port-file=" + path, flags));
  ASSERT_TRUE(WritePortFile(flags, 1).has_value());
  ASSERT_TRUE(WritePortFile(flags, 45678).has_value());
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "45678");
  std::remove(path.c_str());
  flags.port_file = "/nowhere/port";
  EXPECT_NE(WritePortFile(flags, 1).error().message.find("/nowhere/port"), std::string::npos);
}

TEST(Flags, ReachTheClientsConfiguration) {
  const http::TempDir dir;
  ServerFlags flags;
  flags.kubeconfig = dir.Write("kc",
                               "current-context: c\n"
                               "contexts: [{name: c, context: {cluster: k}}]\n"
                               "clusters: [{name: k, cluster: {server: 'https://x'}}]\n");
  flags.kube_api_qps = 7;
  flags.kube_api_burst = 8;
  const auto config = KubeConfig("tessera-test", flags);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://x");
  EXPECT_EQ(config->qps, 7);
  EXPECT_EQ(config->burst, 8);
  EXPECT_EQ(config->user_agent.substr(0, 13), "tessera-test/");
}

}  // namespace
}  // namespace tessera::app
