/*
 * Walks a command and its children instruction by instruction, and prints the addresses at which they were, each once, as nm(1)
 * prints addresses. A process that becomes another program is let go.
 *
 *   hot COMMAND [ARG...]       the command is a static, non-relocatable program
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOW = 0x200000, HIGH = 0x1000000 };
static char seen[HIGH - LOW];

/* Whether the process still runs the program that is walked: by its name, or, once it is sealed, by none. */
static int is_ours(pid_t pid, const char *name)
{
	char path[64], exe[4096];
	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	ssize_t n = readlink(path, exe, sizeof exe - 1);
	exe[n < 0 ? 0 : n] = 0;
	return !strcmp(exe, "/") || !strcmp(strrchr(exe, '/') ? strrchr(exe, '/') : exe, strrchr(name, '/'));
}

int main(int argc, char **argv)
{
	int status;
	pid_t pid;
	if (argc < 2 || argv[1][0] != '/')
		errx(2, "usage: hot /PATH/OF/COMMAND [ARG...]");
	if ((pid = fork()) == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execv(argv[1], argv + 1);
		err(9, "%s", argv[1]);
	}
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC);
	ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status))
			continue;
		int signal = WSTOPSIG(status);
		if (status >> 16 == PTRACE_EVENT_EXEC && !is_ours(pid, argv[1])) {
			ptrace(PTRACE_DETACH, pid, 0, 0);
			continue;
		}
		unsigned long at = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0);
		if (at >= LOW && at < HIGH)
			seen[at - LOW] = 1;
		ptrace(PTRACE_SINGLESTEP, pid, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
	}
	for (unsigned long i = 0; i < sizeof seen; i++)
		if (seen[i])
			printf("%016lx ~\n", LOW + i);
	return 0;
}
