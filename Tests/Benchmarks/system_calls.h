// System calls per step: a forked copy of this process runs the steps between two marks while its parent counts with
// ptrace.
#pragma once
#include <functional>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// -1 where tracing is not allowed
inline double count_system_calls(const std::function<void()> &step, int steps = 50) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)) _exit(1);
    raise(SIGSTOP);
    step();
    syscall(SYS_getppid);
    for (int i = 0; i < steps; i++) step();
    syscall(SYS_getppid);
    _exit(0);
  }
  int status, marks = 0, calls = 0;
  bool entering = true;
  waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return -1;
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD);
  for (;;) {
    if (ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) || waitpid(child, &status, 0) < 0) return -1;
    if (!WIFSTOPPED(status)) break;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (entering) {
      user_regs_struct r;
      ptrace(PTRACE_GETREGS, child, nullptr, &r);
      if (r.orig_rax == SYS_getppid) marks++;
      else if (marks == 1) calls++;
    }
    entering = !entering;
  }
  return marks == 2 ? (double)calls / steps : -1;
}
