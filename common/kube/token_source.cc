#include "common/kube/token_source.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "common/base/log.h"

namespace tessera::kube {
namespace {

std::string ReadToken(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string token(std::istreambuf_iterator<char>(in), {});
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) {
    token.pop_back();
  }
  // What cannot stand in a header would let the file write further headers.
  return token.find_first_of("\r\n") == std::string::npos ? token : std::string();
}

}  // namespace

TokenSource::TokenSource(std::string fixed, std::string file, const Clock& clock)
    : file_(std::move(file)), clock_(clock), token_(std::move(fixed)) {}

std::string TokenSource::Get() {
  const std::lock_guard lock(mu_);
  if (file_.empty() || (read_ && clock_.Now() - read_at_ < kReadInterval)) return token_;
  read_ = true;
  read_at_ = clock_.Now();
  std::string token = ReadToken(file_);
  if (token.empty()) {
    log::Warn("token file is empty or unreadable; the last token stays", {{"file", file_}});
  } else {
    token_ = std::move(token);
  }
  return token_;
}

bool TokenSource::Refused(const std::string& token) {
  const std::lock_guard lock(mu_);
  if (file_.empty()) return false;
  if (token_ != token) return true;  // somebody has read a newer one already
  read_ = false;
  return ReadToken(file_) != token;
}

}  // namespace tessera::kube
