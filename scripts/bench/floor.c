/*
 * The floor under `run true`: what the kernel charges for a container like rootfs-fixtures/bundles/engine.json, with no
 * runtime around it. No config is read, nothing is checked, filtered, sealed or remembered, and no name is looked up twice;
 * so no runtime that gives a container the same things can be quicker, unless it does at one time what is done here in turn.
 *
 *   cc -O2 -static -o floor floor.c; ./floor BUNDLE [steps|+|prices]     as root; "steps" prints microseconds a step
 *
 * "+" does what the bundle asks for beyond that: the view of control groups, rules for devices (v1), the filter, capabilities,
 * loopback up; and what every runtime must do today: run from an image that no container can write, give a keyring of its
 * own. Still nothing is read, checked or remembered: so that is the floor of a runtime.
 *
 * "prices" makes no container and prints what this kernel takes for one call, one page, one process, one program.
 *
 * LIMIT in the environment is the memory limit in bytes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(call) ({ long r_ = (call); if (r_ < 0) err(9, "%s", #call); r_; })

static bool tell, whole;
static struct timespec last;

/* Prints the time since the step before. */
static void step(const char *name)
{
	struct timespec now;
	if (!tell)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	dprintf(2, "%-10s %6ld us\n", name, (now.tv_sec - last.tv_sec) * 1000000 + (now.tv_nsec - last.tv_nsec) / 1000);
	clock_gettime(CLOCK_MONOTONIC, &last);
}

/* Becomes an image that cannot be written (CVE-2019-5736). */
static void seal(char **argv)
{
	struct statfs on;
	MUST(statfs("/proc/self/exe", &on));
	if (on.f_flags & ST_RDONLY)
		return;
	int image = MUST(syscall(SYS_open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	MUST(syscall(SYS_mount_setattr, image, "", AT_EMPTY_PATH, &read_only, sizeof read_only));
	MUST(syscall(SYS_execveat, image, "", argv, environ, AT_EMPTY_PATH));
}

/* The control groups: one per hierarchy. */
static struct { char dir[256]; const char *name; int tasks; } groups[24];
static int count, unified = -1;

static void set(const char *dir, const char *file, const char *value)
{
	char path[320];
	snprintf(path, sizeof path, "%s/%s", dir, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, value, strlen(value)) < 0)
			warn("%s", path);
		close(fd);
	}
}

#define EACH(i, array) (size_t i = 0; i < sizeof array / sizeof *array; i++)

/* What a container may always use, by the specification. */
static const char *const devices[] = {
	"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm",
};

static void add_group(const char *hierarchy, bool v2)
{
	char path[320];
	typeof(groups[0]) *group = &groups[count++];
	snprintf(group->dir, sizeof group->dir, "%s/floor.%d", hierarchy, getpid());
	MUST(mkdir(group->dir, 0755));
	group->tasks = -1;
	if (v2) {
		unified = MUST(open(group->dir, O_PATH | O_DIRECTORY | O_CLOEXEC));
	} else {
		/* A cpuset without CPUs takes no process. */
		if (strstr(hierarchy, "cpuset")) {
			set(group->dir, "cpuset.cpus", "0");
			set(group->dir, "cpuset.mems", "0");
		}
		snprintf(path, sizeof path, "%s/tasks", group->dir);
		group->tasks = MUST(open(path, O_WRONLY | O_CLOEXEC));
	}
	/* Each is in one hierarchy and, as a file that is not there, passed over in the others. */
	const char *limit = getenv("LIMIT");
	set(group->dir, v2 ? "memory.max" : "memory.limit_in_bytes", limit ? limit : "268435456");
	set(group->dir, v2 ? "cpu.max" : "cpu.cfs_quota_us", v2 ? "100000 100000" : "100000");
	set(group->dir, "pids.max", "200");
	if (!whole)
		return;
	group->name = strdup(strrchr(hierarchy, '/') + 1);
	if (!strcmp(group->name, "devices")) {
		set(group->dir, "devices.deny", "a");
		snprintf(path, sizeof path, "%s/devices.allow", group->dir);
		int allow = MUST(open(path, O_WRONLY | O_CLOEXEC));
		for EACH (i, devices)
			MUST(write(allow, devices[i], strlen(devices[i])));
		close(allow);
	}
}

static void make_groups(void)
{
	static char table[1 << 20];
	char *line, *rest = table;
	int fd = MUST(open("/proc/self/mounts", O_RDONLY | O_CLOEXEC));
	for (long n, have = 0; (n = read(fd, table + have, sizeof table - 1 - have)) > 0; have += n)
		;
	close(fd);
	while ((line = strsep(&rest, "\n"))) {
		char place[200], type[32];
		if (sscanf(line, "%*s %199s %31s", place, type) == 2 && !strncmp(type, "cgroup", 6) && count < 24)
			add_group(place, !strcmp(type, "cgroup2"));
	}
}

/* What the container gets for its mounts, in the order of the bundle. */
static const struct { const char *type, *place, *data; unsigned long flags; } mounts[] = {
	{"proc", "proc", 0, 0},
	{"tmpfs", "dev", "mode=755,size=65536k", MS_NOSUID | MS_STRICTATIME},
	{"devpts", "dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC},
	{"tmpfs", "dev/shm", "mode=1777,size=65536k", MS_NOSUID | MS_NOEXEC | MS_NODEV},
	{"mqueue", "dev/mqueue", 0, MS_NOSUID | MS_NOEXEC | MS_NODEV},
	{"sysfs", "sys", 0, MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY},
};
static const struct { const char *name; int major, minor; } nodes[] = {
	{"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7}, {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
};
static const char *const links[][2] = {
	{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
	{"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"},
};
static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
static const char *const hidden[] = {
	"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
	"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
};

/* The seventh mount: its own groups, which it cannot change. */
static void show_groups(void)
{
	const char *place = "sys/fs/cgroup";
	char path[320];
	if (unified >= 0) {
		MUST(mount("cgroup", place, "cgroup2", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, 0));
		return;
	}
	MUST(mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755"));
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", place, groups[i].name);
		MUST(mkdir(path, 0755));
		MUST(mount(groups[i].dir, path, 0, MS_BIND, 0));
		MUST(mount(0, path, 0, MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, 0));
	}
	MUST(mount(0, place, 0, MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, 0));
}

/* Three capabilities; the kernel takes the others off the bounding set one by one. */
static void lower_capabilities(void)
{
	const unsigned keep = 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_AUDIT_WRITE;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap > 31 || !(keep & 1u << cap))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct sets[2] = {{keep, keep, 0}};
	MUST(syscall(SYS_capset, &head, sets));
}

static void bring_loopback_up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	MUST(ioctl(fd, SIOCSIFFLAGS, &lo));
	close(fd);
}

/* As long as the one that rrun makes of the bundle's profile, and lets everything pass. */
static void filter(void)
{
	static struct sock_filter program[334];
	for EACH (i, program)
		program[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, 0);
	program[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	program[333] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog all = {334, program};
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &all));
}

static _Noreturn void inside(const char *root)
{
	for (int i = 0; i < count; i++)
		if (groups[i].tasks >= 0)
			/* A thread that moves itself takes no lock over all processes. */
			MUST(write(groups[i].tasks, "0", 1));
	MUST(unshare(CLONE_NEWCGROUP));
	step("join");
	MUST(mount(0, "/", 0, MS_REC | MS_SLAVE, 0));
	MUST(mount(root, root, 0, MS_BIND | MS_REC, 0));
	MUST(chdir(root));
	for EACH (i, mounts) {
		if (strchr(mounts[i].place, '/'))
			MUST(mkdir(mounts[i].place, 0755));
		MUST(mount(mounts[i].type, mounts[i].place, mounts[i].type, mounts[i].flags, mounts[i].data));
	}
	if (whole)
		show_groups();
	step("mounts");
	umask(0);
	for EACH (i, nodes)
		MUST(mknod(nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for EACH (i, links)
		MUST(symlink(links[i][0], links[i][1]));
	step("devices");
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	step("root");
	for EACH (i, read_only)
		if (!mount(read_only[i], read_only[i], 0, MS_BIND | MS_REC, 0))
			MUST(mount(0, read_only[i], 0, MS_BIND | MS_REMOUNT | MS_RDONLY, 0));
	for EACH (i, hidden)
		if (mount("/dev/null", hidden[i], 0, MS_BIND, 0) && errno == ENOTDIR)
			MUST(mount("tmpfs", hidden[i], "tmpfs", MS_RDONLY, 0));
	MUST(mount(0, "/", 0, MS_BIND | MS_REMOUNT | MS_RDONLY, 0));
	step("masks");
	MUST(sethostname("floor", 5));
	if (whole) {
		MUST(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0));
		bring_loopback_up();
		lower_capabilities();
	}
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (whole)
		filter();
	execl("/bin/true", "true", (char *)0);
	err(9, "/bin/true");
}

static double since(struct timespec then, int times)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((now.tv_sec - then.tv_sec) * 1e6 + (now.tv_nsec - then.tv_nsec) / 1e3) / times;
}

static int prices(char *self)
{
	enum { MANY = 1000, FEW = 50, PAGE = 4096 };
	struct timespec then;
	int status;
	char *pages = mmap(0, MANY * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	clock_gettime(CLOCK_MONOTONIC, &then);
	for (int i = 0; i < MANY; i++)
		syscall(SYS_getppid);
	printf("system call %.2f us\n", since(then, MANY));
	clock_gettime(CLOCK_MONOTONIC, &then);
	for (int i = 0; i < MANY; i++)
		pages[i * PAGE] = 1;
	printf("new page %.2f us\n", since(then, MANY));
	munmap(pages, MANY * PAGE);
	for (int program = 0; program < 2; program++) {
		clock_gettime(CLOCK_MONOTONIC, &then);
		for (int i = 0; i < FEW; i++) {
			pid_t child = MUST(vfork());
			if (!child) {
				if (program)
					execl(self, self, "", (char *)0);
				_exit(0);
			}
			MUST(waitpid(child, &status, 0));
		}
		printf("%s %.0f us\n", program ? "process with execve" : "process", since(then, FEW));
	}
	return 0;
}

int main(int argc, char **argv)
{
	int status;
	/* For prices(): a program that ends at once. */
	if (argc == 2 && !*argv[1])
		return 0;
	if (argc < 2)
		errx(2, "usage: floor BUNDLE [steps|+|prices]");
	if (argc > 2 && !strcmp(argv[2], "prices"))
		return prices(argv[0]);
	tell = argc > 2 && !strcmp(argv[2], "steps");
	whole = argc > 2 && !strcmp(argv[2], "+");
	if (whole)
		seal(argv);
	MUST(chdir(argv[1]));
	clock_gettime(CLOCK_MONOTONIC, &last);
	make_groups();
	step("groups");
	struct clone_args how = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
		.exit_signal = SIGCHLD,
	};
	if (unified >= 0) {
		how.flags |= CLONE_INTO_CGROUP;
		how.cgroup = unified;
	}
	pid_t child = MUST(syscall(SYS_clone3, &how, sizeof how));
	if (!child)
		inside("rootfs");
	step("clone");
	MUST(waitpid(child, &status, 0));
	step("child");
	for (int i = 0; i < count; i++)
		while (rmdir(groups[i].dir) && errno == EBUSY)
			;
	step("cleanup");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
