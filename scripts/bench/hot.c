/*
 * Walks a command and its children instruction by instruction, and prints the addresses at which they were, each once, as nm(1)
 * prints addresses: "ADDRESS ~ RANK". The ranks are in the order of the first visits, but that what a child visits first is not
 * mixed with what its parent does meanwhile. A process that becomes another program is let go.
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
static unsigned rank[HIGH - LOW];

/* Until there is a child; the children; whoever made them, from then on. */
enum { BEFORE, CHILD, BESIDE, STAGE = 1 << 28 };

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
	int status, beside = BEFORE;
	unsigned visits = 0;
	pid_t pid, first;
	if (argc < 2 || argv[1][0] != '/')
		errx(2, "usage: hot /PATH/OF/COMMAND [ARG...]");
	if ((first = pid = fork()) == 0) {
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
		if (pid != first)
			beside = BESIDE;
		if (at >= LOW && at < HIGH && !rank[at - LOW])
			rank[at - LOW] = (pid != first ? CHILD : beside) * STAGE + ++visits;
		ptrace(PTRACE_SINGLESTEP, pid, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
	}
	for (unsigned long i = 0; i < HIGH - LOW; i++)
		if (rank[i])
			printf("%016lx ~ %u\n", LOW + i, rank[i]);
	return 0;
}
