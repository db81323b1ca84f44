// Drives a fuzz target without libFuzzer: each seed file named on the command line (or in a folder
// named there), every short prefix of it, and a fixed number of mutations of the seeds. The same
// inputs on every run. A crashing input is left in crash-<program>.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kMutations = 200000;
constexpr std::size_t kMaxBytes = std::size_t{48} << 20;
constexpr std::size_t kMaxInput = 64 << 10;

// What a crash handler needs.
std::string current;
std::string crash_file;

void SaveAndDie(int signal_number) {
  if (std::FILE* file = std::fopen(crash_file.c_str(), "wb")) {
    std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
    std::fprintf(stderr, "input that crashed: %s\n", crash_file.c_str());
  }
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

void Run(std::string input) {
  current = std::move(input);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size());
}

std::vector<std::string> ReadSeeds(int count, char** paths) {
  std::vector<std::string> seeds = {""};
  const auto read = [&](const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  };
  for (int i = 1; i < count; ++i) {
    if (!std::filesystem::is_directory(paths[i])) {
      read(paths[i]);
      continue;
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(paths[i]))
      files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) read(file);
  }
  return seeds;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  std::string Next() {
    std::string input = seeds_[Below(seeds_.size())];
    for (std::size_t edits = 1 + Below(4); edits > 0; --edits) Edit(input);
    if (input.size() > kMaxInput) input.resize(kMaxInput);
    return input;
  }

 private:
  std::size_t Below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

  void Edit(std::string& input) {
    static const char* const kPieces[] = {
        "{",    "}",    "[",  "]",    "\"", ":",       ",",
        "null", "-1",   "0",  "1e99", "%",  "\\u0000", "18446744073709551616",
        "true", "\xff", "\\", "3Gi",  "\n", "GPU-a"};
    const std::size_t at = Below(input.size() + 1);
    switch (Below(6)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(random_());
        break;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << Below(8)));
        break;
      case 2:
        input.erase(at, 1 + Below(8));
        break;
      case 3:
        input.insert(at, kPieces[Below(std::size(kPieces))]);
        break;
      case 4: {
        const std::string& other = seeds_[Below(seeds_.size())];
        input.replace(at, Below(32), other.substr(Below(other.size()), Below(64)));
        break;
      }
      default:
        input.insert(at, input.substr(Below(input.size()), Below(64)));
    }
  }

  const std::vector<std::string>& seeds_;
  std::mt19937 random_{20261122};
};

}  // namespace

int main(int argc, char** argv) {
  crash_file = "crash-" + std::filesystem::path(argv[0]).filename().string();
  for (const int signal_number : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL})
    std::signal(signal_number, SaveAndDie);
  const auto seeds = ReadSeeds(argc, argv);
  if (seeds.size() < 2) {
    std::fprintf(stderr, "no seed file: name at least one\n");
    return 1;
  }
  std::size_t bytes = 0;
  long runs = 0;
  const auto run = [&](std::string input) {
    bytes += input.size() + 1;
    ++runs;
    Run(std::move(input));
  };
  for (const auto& seed : seeds) {
    run(seed);
    for (std::size_t length = 0; length < std::min<std::size_t>(seed.size(), 512); ++length)
      run(seed.substr(0, length));
  }
  Mutator mutator(seeds);
  for (int i = 0; i < kMutations && bytes < kMaxBytes; ++i) run(mutator.Next());
  std::printf("%ld inputs, %zu bytes\n", runs, bytes);
  return 0;
}
