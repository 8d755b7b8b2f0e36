/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes more than 100 different system calls that a co-kernel delegates and
 * prints, a line each, what came back, with everything that differs from run to
 * run (addresses, pids, times) reduced to whether it is as it should be. Run on
 * Linux and on a co-kernel with the same input it prints the same.
 *
 * Usage: calls SCRATCH-FOLDER   (empty; is left empty)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

static int count;

/* Prints "what = value (error)"; an error's number only when value is -1. */
static long say(const char *what, long value)
{
	int e = errno;

	count++;
	if (value == -1)
		printf("%s = -1 (%d %s)\n", what, e, strerrorname_np(e));
	else
		printf("%s = %ld\n", what, value);
	errno = 0;
	return value;
}

#define T(call) say(#call, (long)(call))
/* For results that vary: 1 if it succeeded, or the error. */
#define OK(call) say(#call, (long)(call) >= 0 ? 1 : -1)
#define IS(expr) (count++, printf("%s: %s\n", #expr, (expr) ? "yes" : "no"))

static char big[65536];
/* Bad on purpose, and nothing that the compiler should see. */
static void *volatile null_page = (void *)16;
static volatile int minus_one = -1;
#define BAD ((void *)null_page)

static void files(void)
{
	struct stat st;
	struct statx sx;
	struct statfs sf;
	struct iovec iov[3] = { { big, 10 }, { big + 100, 20 }, { big + 200, 30 } };
	char path[4096], name[64];
	int fd, fd2;
	loff_t off_in = 0, off_out = 1000;

	memset(big, 'x', sizeof(big));
	T(open("missing", O_RDONLY));
	T(fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
	T(open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
	T(write(fd, "hello world\n", 12));
	T(write(fd, big, sizeof(big)));
	T(write(-1, "x", 1));
	T(write(fd, BAD, 10));
	T(write(fd, (char *)BAD + 0x7fff00000000, 10));
	T(read(fd, big, 10));
	T(lseek(fd, 0, SEEK_SET));
	T(lseek(fd, -1, SEEK_SET));
	T(lseek(fd, 0, SEEK_END));
	T(lseek(fd, 0, SEEK_HOLE));
	T(pread(fd, big, 12, 0));
	IS(!memcmp(big, "hello world\n", 12));
	T(pread(fd, BAD, 12, 0));
	T(pwrite(fd, "HELLO", 5, 0));
	T(lseek(fd, 0, SEEK_SET));
	T(readv(fd, iov, 3));
	IS(!memcmp(big, "HELLO worl", 10));
	T(writev(fd, iov, 3));
	T(preadv(fd, iov, 2, 4));
	T(pwritev(fd, iov, 2, 4));
	T(preadv2(fd, iov, 2, 4, 0));
	T(pwritev2(fd, iov, 2, -1, RWF_APPEND));
	T(readv(fd, iov, minus_one));
	T(readv(fd, BAD, 2));
	T(fstat(fd, &st));
	IS(st.st_size == 65578 && (st.st_mode & 07777) == 0640);
	T(stat("file", &st));
	T(stat("missing", &st));
	T(stat("file", BAD));
	T(lstat("file", &st));
	T(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &sx));
	IS(sx.stx_size == 65578);
	OK(statfs(".", &sf));
	OK(fstatfs(fd, &sf));
	T(ftruncate(fd, 100));
	T(truncate("file", 50));
	T(truncate("missing", 50));
	T(fsync(fd));
	T(fdatasync(fd));
	T(syscall(SYS_sync_file_range, fd, 0L, 10L, 0));
	T(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	OK(fallocate(fd, 0, 0, 8192));
	T(fchmod(fd, 0600));
	T(chmod("file", 0644));
	T(fchmodat(AT_FDCWD, "file", 0600, 0));
	OK(fchown(fd, getuid(), getgid()));
	OK(chown("file", getuid(), getgid()));
	OK(lchown("file", getuid(), getgid()));
	T(fchownat(AT_FDCWD, "missing", 0, 0, 0));
	T(access("file", R_OK));
	T(access("missing", R_OK));
	T(faccessat(AT_FDCWD, "file", X_OK, 0) == -1 || 1);
	T(dup(fd));
	T(dup2(fd, 20));
	T(dup2(fd, -1));
	T(dup3(fd, 21, O_CLOEXEC));
	T(fcntl(21, F_GETFD));
	T(fcntl(fd, F_GETFL) & O_ACCMODE);
	T(fcntl(fd, F_SETFL, O_APPEND));
	T(fcntl(fd, F_DUPFD, 30));
	T(fcntl(99, F_GETFD));
	T(flock(fd, LOCK_EX | LOCK_NB));
	T(flock(fd, LOCK_UN));
	T(close(20));
	T(close(20));
	T(syscall(SYS_close_range, 21, 40, 0));
	T(fcntl(30, F_GETFD));
	T(close(4));
	T(link("file", "hard"));
	T(symlink("file", "soft"));
	T(readlink("soft", path, sizeof(path)));
	T(readlink("file", path, sizeof(path)));
	T(rename("hard", "hard2"));
	T(renameat2(AT_FDCWD, "hard2", AT_FDCWD, "file", RENAME_NOREPLACE));
	T(linkat(AT_FDCWD, "file", AT_FDCWD, "hard3", 0));
	T(symlinkat("x", AT_FDCWD, "soft2"));
	T(readlinkat(AT_FDCWD, "soft2", name, sizeof(name)));
	T(unlink("hard2"));
	T(unlinkat(AT_FDCWD, "hard3", 0));
	T(unlink("soft2"));
	T(unlink("soft"));
	T(fd2 = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600));
	T(sendfile(fd2, fd, &off_in, 40));
	off_in = 0;
	OK(copy_file_range(fd, &off_in, fd2, &off_out, 30, 0));
	T(mkdir("dir", 0755));
	T(mkdir("dir", 0755));
	T(mkdirat(AT_FDCWD, "dir/sub", 0755));
	T(rmdir("dir"));
	T(mknod("fifo", S_IFIFO | 0600, 0));
	T(unlink("fifo"));
	T(chdir("dir"));
	OK(syscall(SYS_getcwd, path, sizeof(path)));
	IS(!strcmp(strrchr(path, '/'), "/dir"));
	T(syscall(SYS_getcwd, path, 1));
	T(fchdir(999));
	T(chdir(".."));
	T(rmdir("dir/sub"));
	T(rmdir("dir"));
	T((umask(022), umask(022)));
	T(utime("file", NULL));
	T(utimensat(AT_FDCWD, "file", NULL, 0));
	T(futimens(fd, NULL));
	OK(setxattr("file", "user.test", "1", 1, 0));
	OK(getxattr("file", "user.missing", name, sizeof(name)));
	OK(listxattr("file", name, 0));
	OK(removexattr("file", "user.missing"));
	T(ioctl(fd, TCGETS, path));
	T(ioctl(-1, TCGETS, path));
	T(ioctl(fd, FIONREAD, BAD));
	T(close(fd2));
	T(close(fd));
	T(unlink("copy"));
	T(unlink("file"));
	T(openat(AT_FDCWD, "/dev/null", O_RDONLY));
	T(open("/", O_RDONLY | O_DIRECTORY));
	T(open("/etc/passwd", O_RDONLY | O_DIRECTORY));
	OK(syscall(SYS_getdents64, 4, big, sizeof(big)));
	T(syscall(SYS_getdents64, 3, big, sizeof(big)));
	T(close(4));
	T(close(3));
	T(memfd_create("mem", 0));
	T(ftruncate(3, 4096));
	T(close(3));
	sync();
}

static void pipes_and_polling(void)
{
	int p[2], ep, ev, tm, ino, sp[2];
	struct pollfd pf;
	struct epoll_event ee = { .events = EPOLLIN, .data.u32 = 7 }, out[4];
	struct itimerspec its = { .it_value = { 0, 1000000 } };
	struct timeval tv = { 0, 1000 };
	struct timespec ts = { 0, 1000000 };
	struct iovec iov = { big, 4096 };
	uint64_t value = 5;
	fd_set set;
	sigset_t mask;

	T(pipe(p));
	T(pipe2(sp, O_NONBLOCK));
	T(read(sp[0], big, 10));
	T(write(p[1], "abc", 3));
	pf = (struct pollfd){ .fd = p[0], .events = POLLIN };
	T(poll(&pf, 1, 0));
	IS(pf.revents == POLLIN);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	T(select(p[0] + 1, &set, NULL, NULL, &tv));
	T(ppoll(&pf, 1, &ts, NULL));
	T(pselect(0, NULL, NULL, NULL, &ts, NULL));
	T(ioctl(p[0], FIONREAD, &value));
	IS((int)value == 3);
	T(tee(p[0], sp[1], 3, SPLICE_F_NONBLOCK));
	T(splice(p[0], NULL, sp[1], NULL, 2, 0));
	T(vmsplice(sp[1], &iov, 1, 0));
	T(read(sp[0], big, sizeof(big)));
	T(fcntl(p[0], F_GETPIPE_SZ));
	T(ep = epoll_create1(0));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ee));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ee));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &ee));
	T(epoll_wait(ep, out, 4, 0));
	IS(out[0].data.u32 == 7);
	T(epoll_pwait(ep, out, 4, 0, NULL));
	T(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
	T(ev = eventfd(3, EFD_NONBLOCK));
	T(read(ev, &value, 8));
	IS(value == 3);
	T(read(ev, &value, 8));
	value = 1;
	T(write(ev, &value, 8));
	T(tm = timerfd_create(CLOCK_MONOTONIC, 0));
	T(timerfd_settime(tm, 0, &its, NULL));
	T(read(tm, &value, 8));
	IS(value >= 1);
	T(timerfd_gettime(tm, &its));
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	T(sigprocmask(SIG_BLOCK, &mask, NULL));
	T(signalfd(-1, &mask, SFD_NONBLOCK));
	T(ino = inotify_init1(IN_NONBLOCK));
	OK(inotify_add_watch(ino, ".", IN_CREATE));
	T(read(ino, big, sizeof(big)));
	close(ino);
	close(tm);
	close(ev);
	close(ep);
	close(p[1]);
	T(read(p[0], big, 10));
	T(read(p[0], big, 10));
	for (int fd = 3; fd < 20; fd++)
		close(fd);
}

static void sockets(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, b;
	struct sockaddr_un u = { .sun_family = AF_UNIX, .sun_path = "sock" };
	socklen_t n = sizeof(b);
	int s, c, d, one = 1, sp[2];
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { "m", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	T(socket(AF_INET, SOCK_STREAM, 0) == 3);
	s = 3;
	T(socket(12345, SOCK_STREAM, 0));
	T(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	T(setsockopt(s, SOL_SOCKET, 9999, &one, sizeof(one)));
	n = sizeof(one);
	T(getsockopt(s, SOL_SOCKET, SO_TYPE, &one, &n));
	IS(one == SOCK_STREAM);
	T(bind(s, (void *)&a, sizeof(a)));
	T(listen(s, 5));
	n = sizeof(b);
	T(getsockname(s, (void *)&b, &n));
	IS(b.sin_port != 0);
	T(c = socket(AF_INET, SOCK_STREAM, 0));
	T(connect(c, (void *)&b, sizeof(b)));
	n = sizeof(a);
	T(d = accept4(s, (void *)&a, &n, SOCK_CLOEXEC));
	T(getpeername(d, (void *)&a, &n));
	T(send(c, "ping", 4, 0));
	T(recv(d, big, 100, 0));
	IS(!memcmp(big, "ping", 4));
	T(recv(d, big, 100, MSG_DONTWAIT));
	T(shutdown(c, SHUT_WR));
	T(recv(d, big, 100, 0));
	T(close(d));
	T(close(c));
	T(close(s));
	T(s = socket(AF_UNIX, SOCK_DGRAM, 0));
	T(bind(s, (void *)&u, sizeof(u)));
	T(bind(s, (void *)&u, sizeof(u)));
	T(c = socket(AF_UNIX, SOCK_DGRAM, 0));
	T(sendto(c, "dgram", 5, 0, (void *)&u, sizeof(u)));
	T(recvfrom(s, big, 100, 0, NULL, NULL));
	T(close(c));
	T(close(s));
	T(unlink("sock"));
	T(socketpair(AF_UNIX, SOCK_STREAM, 0, sp));
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &sp[0], sizeof(int));
	T(sendmsg(sp[0], &m, 0));
	iov.iov_base = big;
	T(recvmsg(sp[1], &m, 0));
	IS(m.msg_controllen == CMSG_LEN(sizeof(int)) || m.msg_controllen == CMSG_SPACE(sizeof(int)));
	close(sp[0]);
	close(sp[1]);
	close(5);
}

static void identity(void)
{
	struct rlimit rl;
	struct rusage ru;
	struct utsname un;
	struct sysinfo si;
	struct tms tms;
	struct timespec ts;
	struct sched_param sp;
	gid_t groups[64];
	char name[16] = { 0 };
	cpu_set_t cpus;
	int *cleared = NULL, *own = NULL, other;

	IS(getpid() == (pid_t)syscall(SYS_gettid));
	OK(getppid());
	IS(getuid() == geteuid());
	IS(getgid() == getegid());
	OK(getgroups(64, groups));
	T(getgroups(minus_one, groups));
	IS(getpgid(0) == getpgrp());
	IS(getsid(0) > 0);
	T(getpgid(999999999));
	T(uname(&un));
	IS(!strcmp(un.sysname, "Linux") && !strcmp(un.machine, "x86_64"));
	T(getrlimit(RLIMIT_NOFILE, &rl));
	T(getrlimit(999, &rl));
	T(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }));
	T(prlimit(0, RLIMIT_CORE, NULL, &rl));
	IS(rl.rlim_cur == 0);
	T(getrusage(RUSAGE_SELF, &ru));
	T(getrusage(77, &ru));
	T(sysinfo(&si));
	IS(times(&tms) > 0);
	T(getpriority(PRIO_PROCESS, 0));
	T(setpriority(PRIO_PROCESS, 0, 3));
	T(getpriority(PRIO_PROCESS, 0));
	T(sched_getscheduler(0));
	T(sched_getparam(0, &sp));
	T(sched_get_priority_max(SCHED_FIFO));
	T(sched_rr_get_interval(0, &ts));
	T(prctl(PR_SET_NAME, "renamed"));
	T(prctl(PR_GET_NAME, name));
	IS(!strcmp(name, "renamed"));
	T(prctl(PR_GET_DUMPABLE));
	T(prctl(9999, 0, 0, 0, 0));
	T(prctl(PR_GET_TID_ADDRESS, &own));
	IS(syscall(SYS_set_tid_address, &other) == getpid());
	T(prctl(PR_GET_TID_ADDRESS, &cleared));
	IS(cleared == &other);
	IS(syscall(SYS_set_tid_address, own) == getpid());
	T(prctl(PR_GET_TID_ADDRESS, 8L));
	IS(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	T(sched_yield());
	T(getrandom(big, 100, 0));
	T(getrandom(big, 100, 0xffff));
	T(clock_gettime(CLOCK_MONOTONIC, &ts));
	T(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts));
	T(clock_gettime(12345, &ts));
	T(clock_getres(CLOCK_REALTIME, &ts));
	T(clock_settime(CLOCK_MONOTONIC, &ts));
	T(nanosleep(&(struct timespec){ 0, 1000 }, NULL));
	T(nanosleep(&(struct timespec){ 0, -1 }, NULL));
	T(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ 0, 1000 }, NULL));
	T(kill(getpid(), 0));
	T(kill(999999999, 0));
	T(kill(getpid(), 999));
	T(waitpid(-1, NULL, WNOHANG));
	T(isatty(0) | 1);
	T(syscall(SYS_personality, 0xffffffffL));
	OK(syscall(SYS_getcpu, NULL, NULL, NULL));
	T(syscall(500));
	T(syscall(100000));
}

static void signals(void)
{
	sigset_t set, old, pending;
	siginfo_t info;
	struct timespec zero = { 0, 0 };
	struct itimerval it = { { 0, 0 }, { 1000, 0 } };

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	T(sigprocmask(SIG_BLOCK, &set, &old));
	T(sigprocmask(99, &set, &old));
	T(raise(SIGUSR1));
	T(sigpending(&pending));
	IS(sigismember(&pending, SIGUSR1) == 1);
	T(sigwaitinfo(&set, &info));
	IS(info.si_signo == SIGUSR1 && info.si_pid == getpid());
	T(sigtimedwait(&set, &info, &zero));
	T(signal(SIGPIPE, SIG_IGN) == SIG_ERR);
	T(setitimer(ITIMER_REAL, &it, NULL));
	T(getitimer(ITIMER_REAL, &it));
	IS(it.it_value.tv_sec > 900);
	T(alarm(0) > 900);
}

/* Memory that was never touched, as a buffer for output and input. */
static void untouched_buffers(void)
{
	char *m = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd, p[2];
	struct iovec iov = { m + (6 << 20), 4096 };

	T(fd = open("buf", O_RDWR | O_CREAT | O_TRUNC, 0600));
	T(write(fd, m + 4096, 5000));           /* zeroes */
	T(pread(fd, m + (2 << 20) + 4000, 5000, 0));
	IS(m[(2 << 20) + 4000] == 0);
	T(pread(fd, ro, 10, 0));
	T(munmap(m + 8192, 4096));
	T(pread(fd, m + 8192, 10, 0));
	T(pread(fd, m + 8192 - 10, 20, 0));
	T(mprotect(m, 4096, PROT_NONE));
	T(write(fd, m, 10));
	T(pipe(p));
	strcpy(m + (6 << 20), "spliced");
	T(vmsplice(p[1], &iov, 1, 0));
	T(read(p[0], big, 4096));
	IS(!strcmp(big, "spliced"));
	T(close(p[0]));
	T(close(p[1]));
	T(close(fd));
	T(unlink("buf"));
	T(munmap(m, 8 << 20));
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (argc != 2 || chdir(argv[1])) {
		fprintf(stderr, "usage: calls SCRATCH-FOLDER\n");
		return 2;
	}
	files();
	pipes_and_polling();
	sockets();
	identity();
	signals();
	untouched_buffers();
	printf("%d results\n", count);
	return 42;
}
