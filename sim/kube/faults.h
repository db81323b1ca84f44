#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/thread_annotations.h"

namespace tessera::sim {

/// Something that goes wrong with the next requests of a kind.
struct Fault {
  enum class Kind {
    kDrop,       ///< cut the connection before anything happens
    kDropAfter,  ///< do it, then cut the connection instead of answering
    kDelay,      ///< wait, then go on
    kAnswer,     ///< answer `code` and do nothing
  };
  Kind kind = Kind::kAnswer;
  std::string method = {};  ///< empty: any
  std::string path = ".*";  ///< regular expression over the whole path, without the query
  int times = 1;            ///< how many requests it hits
  std::chrono::milliseconds delay{0};
  int code = 500;
  std::string reason = {};      ///< empty: the usual one of `code`
  int retry_after_seconds = 0;  ///< 0: no such header
};

/// Thread-safe.
class Faults {
 public:
  void Add(Fault fault);
  /// The first one that fits, used up once; none for a request that goes well.
  std::optional<Fault> Take(std::string_view method, const std::string& path);

 private:
  struct Entry {
    Fault fault;
    std::regex path;
  };
  std::mutex mu_;
  std::vector<Entry> entries_ TESSERA_GUARDED_BY(mu_);
};

/// A request that came, before any fault.
struct JournalEntry {
  std::string method;
  std::string path;
  std::multimap<std::string, std::string> query;
  std::string body;
  std::string user;  ///< common name of the client's certificate
};

/// The last requests. Thread-safe.
class Journal {
 public:
  void Add(JournalEntry entry);
  std::vector<JournalEntry> All() const;
  /// How many of these have come: exact method, regular expression over the whole path.
  std::size_t Count(std::string_view method, const std::string& path) const;
  void Clear();

 private:
  mutable std::mutex mu_;
  std::vector<JournalEntry> entries_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::sim
