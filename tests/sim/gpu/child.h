#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>
#include <string>

namespace tessera::sim::gpu {

using Variables = std::map<std::string, std::string>;

/// A program run through /bin/sh with variables of its own; what it prints can be read line by
/// line, and a line can be sent to it.
class Child {
 public:
  Child(const std::string& command, const Variables& variables) {
    int out[2] = {-1, -1};
    int in[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
      const std::string line = "exec " + command;
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      _exit(127);
    }
    close(out[1]);
    close(in[0]);
    output_ = fdopen(out[0], "r");
    input_ = in[1];
  }
  ~Child() {
    if (pid_ > 0) Kill();
    if (output_ != nullptr) fclose(output_);
    if (input_ >= 0) close(input_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  /// Without its newline; "" at the end.
  std::string Line() {
    std::string line;
    for (int c = fgetc(output_); c != EOF && c != '\n'; c = fgetc(output_)) {
      line += static_cast<char>(c);
    }
    return line;
  }
  std::string Rest() {
    std::string text;
    for (int c = fgetc(output_); c != EOF; c = fgetc(output_)) text += static_cast<char>(c);
    return text;
  }
  void Send(const std::string& line) const {
    const std::string text = line + "\n";
    const auto written = write(input_, text.data(), text.size());
    (void)written;
  }
  void Signal(int number) const { kill(pid_, number); }
  void Kill() {
    kill(pid_, SIGKILL);
    kill(pid_, SIGCONT);
    Wait();
  }
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  FILE* output_ = nullptr;
  int input_ = -1;
};

}  // namespace tessera::sim::gpu
