#include "tests/common/http/test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <openssl/bn.h>
#include <openssl/x509.h>

namespace tessera::http {

TestClient::TestClient(int port, const std::optional<ClientTls>& tls) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 5, .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (!connected_ || !tls) return;
  context_ = {SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  SSL_CTX_load_verify_file(context_.get(), tls->ca_file.c_str());
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  if (!tls->cert_file.empty()) {
    SSL_CTX_use_certificate_file(context_.get(), tls->cert_file.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context_.get(), tls->key_file.c_str(), SSL_FILETYPE_PEM);
  }
  ssl_ = {SSL_new(context_.get()), SSL_free};
  SSL_set_fd(ssl_.get(), fd_);
  connected_ = SSL_connect(ssl_.get()) == 1;
}

TestClient::~TestClient() {
  ssl_.reset();
  close(fd_);
}

int TestClient::Read(char* data, int size) {
  if (ssl_) return SSL_read(ssl_.get(), data, size);
  return static_cast<int>(TEMP_FAILURE_RETRY(recv(fd_, data, static_cast<std::size_t>(size), 0)));
}

bool TestClient::Send(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const auto left = bytes.size() - sent;
    const auto count = ssl_ ? SSL_write(ssl_.get(), bytes.data() + sent, static_cast<int>(left))
                            : send(fd_, bytes.data() + sent, left, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

std::string TestClient::Line() {
  std::string line;
  char byte = 0;
  while (Read(&byte, 1) == 1 && byte != '\n') line += byte;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

std::string TestClient::Bytes(std::size_t count) {
  std::string out(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const int got = Read(out.data() + have, static_cast<int>(count - have));
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  out.resize(have);
  return out;
}

Answer TestClient::Receive() {
  Answer answer;
  const std::string first = Line();
  if (first.size() < 12) return answer;
  answer.status = std::atoi(first.c_str() + 9);
  for (std::string line = Line(); !line.empty(); line = Line()) {
    const auto colon = line.find(": ");
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return std::tolower(c); });
    answer.headers[name] = line.substr(colon + 2);
  }
  if (const auto length = answer.headers.find("content-length"); length != answer.headers.end()) {
    answer.body = Bytes(std::stoul(length->second));
  } else if (answer.headers.contains("transfer-encoding")) {
    for (;;) {
      const std::string size = Line();
      const auto count = size.empty() ? 0 : std::stoul(size, nullptr, 16);
      answer.body += Bytes(count);
      Line();
      if (count == 0) break;
    }
  }
  return answer;
}

Answer TestClient::Get(const std::string& path) {
  Send("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n");
  return Receive();
}

Answer TestClient::Post(const std::string& path, const std::string& body) {
  Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: " +
       std::to_string(body.size()) + "\r\n\r\n" + body);
  return Receive();
}

bool TestClient::ServerCloses() {
  char dropped[4096];
  int got = 0;
  do got = Read(dropped, sizeof dropped);
  while (got > 0);
  return got == 0 || errno == ECONNRESET || errno == EPIPE;
}

std::string TestClient::ServerSerial() const {
  const std::unique_ptr<X509, decltype(&X509_free)> peer(SSL_get1_peer_certificate(ssl_.get()),
                                                         X509_free);
  if (!peer) return {};
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      ASN1_INTEGER_to_BN(X509_get_serialNumber(peer.get()), nullptr), BN_free);
  char* text = BN_bn2hex(number.get());
  std::string out = text;
  OPENSSL_free(text);
  return out;
}

TempDir::TempDir() {
  char name[] = "/tmp/tessera-test-XXXXXX";
  path_ = mkdtemp(name);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::Write(const std::string& name, const std::string& content) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  return path;
}

}  // namespace tessera::http
