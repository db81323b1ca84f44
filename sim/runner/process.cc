#include "sim/runner/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace tessera::sim {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::string PathOf(const std::vector<std::string>& env) {
  for (const std::string& entry : env) {
    if (entry.starts_with("PATH=")) return entry.substr(5);
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

/// What the child needs, prepared before the fork: between fork and exec only system calls are
/// allowed.
struct Prepared {
  const char* program;
  char** argv;
  char** envp;
  const char* cwd;
  int output;
  int report;  ///< the write end of a pipe that exec closes; an errno comes through it on failure
  pid_t parent;
};

[[noreturn]] void GiveUp(int report) {
  const int why = errno;
  [[maybe_unused]] const auto written = write(report, &why, sizeof why);
  _exit(127);
}

[[noreturn]] void RunChild(const Prepared& p) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != p.parent) _exit(127);  // the parent went before prctl
  // By the kernel's own call: glibc keeps 32 and 33 for its threads and refuses to reset them,
  // although whoever started us may have had them ignored. All zero is SIG_DFL.
  static constexpr struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    std::uint64_t mask;
  } kDefault{};
  for (int number = 1; number < NSIG; ++number) {
    syscall(SYS_rt_sigaction, number, &kDefault, nullptr, sizeof(kDefault.mask));
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) < 0 || dup2(p.output, 1) < 0 || dup2(p.output, 2) < 0)
    GiveUp(p.report);
  if (*p.cwd != '\0' && chdir(p.cwd) != 0) GiveUp(p.report);
  execve(p.program, p.argv, p.envp);
  GiveUp(p.report);
}

/// Blocks until exec has worked (0) or failed (its errno).
int ReadReport(int report) {
  int why = 0;
  ssize_t got = 0;
  do {
    got = read(report, &why, sizeof why);
  } while (got < 0 && errno == EINTR);
  return got == static_cast<ssize_t>(sizeof why) ? why : 0;
}

}  // namespace

std::string FindExecutable(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  std::size_t from = 0;
  while (from <= path.size() && !name.empty()) {
    const std::size_t end = std::min(path.find(':', from), path.size());
    const std::string candidate = path.substr(from, end - from) + "/" + name;
    if (end > from && access(candidate.c_str(), X_OK) == 0) return candidate;
    from = end + 1;
  }
  return "";
}

Result<std::unique_ptr<Process>> Process::Start(const ProcessSpec& spec) {
  const std::string name = spec.argv.empty() ? "" : spec.argv.front();
  const std::string program = FindExecutable(name, PathOf(spec.env));
  if (program.empty()) return Fail(Errc::kNotFound, "no program called \"" + name + "\"");
  const int output =
      open(spec.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) return Fail(Errc::kInternal, spec.output_file + ": " + std::strerror(errno));
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    close(output);
    return Fail(Errc::kInternal, std::string("pipe: ") + std::strerror(errno));
  }
  auto argv = Pointers(spec.argv);
  auto envp = Pointers(spec.env);
  const Prepared prepared{program.c_str(), argv.data(), envp.data(), spec.cwd.c_str(),
                          output,          report[1],   getpid()};
  const pid_t pid = fork();
  if (pid == 0) RunChild(prepared);
  close(report[1]);
  close(output);
  const int why = pid > 0 ? ReadReport(report[0]) : errno;
  close(report[0]);
  if (pid < 0) return Fail(Errc::kInternal, std::string("fork: ") + std::strerror(why));
  std::unique_ptr<Process> process(new Process(pid));
  if (why != 0) return Fail(Errc::kInternal, program + ": " + std::strerror(why));
  return process;
}

Process::~Process() {
  Signal(SIGKILL);
  Wait();
}

int Process::Wait() {
  {
    const std::lock_guard lock(mu_);
    if (reaped_) return exit_code_;
  }
  siginfo_t state{};
  while (waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  const std::lock_guard lock(mu_);
  Reap();
  return exit_code_;
}

bool Process::Ended() {
  const std::lock_guard lock(mu_);
  if (reaped_) return true;
  siginfo_t state{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOWAIT | WNOHANG) == 0 &&
      state.si_pid == 0) {
    return false;
  }
  Reap();
  return true;
}

/// REQUIRES: mu_ held and the process is a zombie, so that its number still means its group.
void Process::Reap() {
  if (reaped_) return;
  kill(-pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  reaped_ = true;
}

void Process::Signal(int number) {
  const std::lock_guard lock(mu_);
  if (!reaped_) kill(-pid_, number);
}

}  // namespace tessera::sim
