/* Preloaded by the month simulation. Counts the calls of a command on files below one folder, and
 * before one of them kills or stops the process, sets its clock, or lets the call fail.
 *
 * SQLite, Python and Rust make their calls through libc, so this sees every write of a store.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#undef open
#undef openat

enum action { NONE, KILL, FAIL, FAIL_ON, JUMP, STOP };

/* In memory that the simulation shares with the command, so that it outlives a kill. */
struct record {
    long count;
    long hit;
    char call[24];
    char path[232];
};

static struct {
    char root[PATH_MAX];
    size_t length;
    struct record *record;
    pid_t process;
    long at;
    int action;
    int error;
    long long jump_ns;
    char denied[PATH_MAX];
} plan;

static long long wall_ns, boot_ns;
static char boot_file[PATH_MAX];
static unsigned char inside[4096];

void month_set_clock(long long wall, long long boot, const char *path) {
    wall_ns = wall;
    boot_ns = boot;
    snprintf(boot_file, sizeof boot_file, "%s", path);
}

void month_plan(const char *root, struct record *record, long at, int action, int error,
                long long jump_ns, const char *denied) {
    snprintf(plan.root, sizeof plan.root, "%s", root);
    snprintf(plan.denied, sizeof plan.denied, "%s", denied);
    plan.length = strlen(root);
    plan.record = record;
    plan.at = at;
    plan.action = action;
    plan.error = error;
    plan.jump_ns = jump_ns;
    plan.process = getpid();
}

static int is_below(const char *path) {
    return plan.length && !strncmp(path, plan.root, plan.length) &&
           (path[plan.length] == '/' || !path[plan.length]);
}

static int is_ours(int folder, const char *path) {
    return path[0] == '/' ? is_below(path) : folder >= 0 && folder < 4096 && inside[folder];
}

/* Return whether the call must fail with plan.error. */
static int meet(const char *call, const char *path, int changes) {
    if (!plan.record || getpid() != plan.process) return 0;
    long number = ++plan.record->count;
    int fails = (plan.action == FAIL && number >= plan.at && changes && !plan.record->hit) ||
                (plan.action == FAIL_ON && number >= plan.at && changes);
    int acts = number == plan.at && plan.action != FAIL && plan.action != FAIL_ON && plan.action;
    if (!fails && !acts) return 0;
    if (!plan.record->hit) {
        snprintf(plan.record->call, sizeof plan.record->call, "%s", call);
        snprintf(plan.record->path, sizeof plan.record->path, "%s", path);
        plan.record->hit = number;
    }
    if (fails) {
        errno = plan.error;
        return 1;
    }
    if (plan.action == KILL) kill(getpid(), SIGKILL);
    if (plan.action == STOP) raise(SIGSTOP);
    if (plan.action == JUMP) wall_ns += plan.jump_ns;
    return 0;
}

/* Return whether the permission of a file was taken away. */
static int deny(const char *path) {
    size_t length = strlen(plan.denied), all = strlen(path);
    if (!length || all < length || strcmp(path + all - length, plan.denied)) return 0;
    if (plan.record && !plan.record->hit) {
        plan.record->hit = 1;
        snprintf(plan.record->call, sizeof plan.record->call, "permission");
        snprintf(plan.record->path, sizeof plan.record->path, "%s", path);
    }
    errno = EACCES;
    return 1;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int opened(int descriptor, int is_inside) {
    if (descriptor >= 0 && descriptor < 4096) inside[descriptor] = (unsigned char)is_inside;
    return descriptor;
}

static const char *redirected(const char *path) {
    return boot_file[0] && !strcmp(path, "/proc/sys/kernel/random/boot_id") ? boot_file : path;
}

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        int ours = is_ours(-1, path); \
        if (ours && (deny(path) || meet(#name, path, flags & (O_CREAT | O_WRONLY | O_RDWR)))) \
            return -1; \
        return opened(real(redirected(path), flags, mode), ours); \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        int ours = is_ours(folder, path); \
        if (ours && (deny(path) || meet(#name, path, flags & (O_CREAT | O_WRONLY | O_RDWR)))) \
            return -1; \
        return opened(real(folder, path, flags, mode), ours); \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

int close(int descriptor) {
    REAL(close);
    if (descriptor >= 0 && descriptor < 4096 && getpid() == plan.process) inside[descriptor] = 0;
    return real(descriptor);
}

/* A call on an open file; `changes` says whether a failing disk makes it fail. */
#define ON_FILE(type, name, parameters, descriptor, arguments) \
    type name parameters { \
        REAL(name); \
        if (descriptor >= 0 && descriptor < 4096 && inside[descriptor] && meet(#name, "", 1)) \
            return -1; \
        return real arguments; \
    }
ON_FILE(ssize_t, write, (int fd, const void *data, size_t n), fd, (fd, data, n))
ON_FILE(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), fd, (fd, data, n, at))
ON_FILE(ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), fd, (fd, data, n, at))
ON_FILE(int, fsync, (int fd), fd, (fd))
ON_FILE(int, fdatasync, (int fd), fd, (fd))
ON_FILE(int, ftruncate, (int fd, off_t n), fd, (fd, n))
ON_FILE(int, ftruncate64, (int fd, off64_t n), fd, (fd, n))
ON_FILE(ssize_t, copy_file_range,
        (int from, off64_t *a, int fd, off64_t *b, size_t n, unsigned flags), fd,
        (from, a, fd, b, n, flags))

ssize_t sendfile64(int fd, int from, off64_t *at, size_t n) {
    ssize_t (*real)(int, int, off64_t *, size_t) = dlsym(RTLD_NEXT, "sendfile64");
    if (fd >= 0 && fd < 4096 && inside[fd] && meet("sendfile", "", 1)) return -1;
    return real(fd, from, at, n);
}

/* A call on names. */
#define ON_NAME(name, parameters, folder, path, arguments) \
    int name parameters { \
        REAL(name); \
        if (is_ours(folder, path) && meet(#name, path, 1)) return -1; \
        return real arguments; \
    }
ON_NAME(rename, (const char *old, const char *new), -1, new, (old, new))
ON_NAME(renameat, (int from, const char *old, int to, const char *new), to, new,
        (from, old, to, new))
ON_NAME(link, (const char *old, const char *new), -1, new, (old, new))
ON_NAME(linkat, (int from, const char *old, int to, const char *new, int flags), to, new,
        (from, old, to, new, flags))
ON_NAME(symlink, (const char *old, const char *new), -1, new, (old, new))
ON_NAME(symlinkat, (const char *old, int to, const char *new), to, new, (old, to, new))
ON_NAME(unlink, (const char *path), -1, path, (path))
ON_NAME(unlinkat, (int folder, const char *path, int flags), folder, path, (folder, path, flags))
ON_NAME(mkdir, (const char *path, mode_t mode), -1, path, (path, mode))
ON_NAME(mkdirat, (int folder, const char *path, mode_t mode), folder, path, (folder, path, mode))
ON_NAME(rmdir, (const char *path), -1, path, (path))

int access(const char *path, int mode) {
    REAL(access);
    if (is_ours(-1, path) && mode != F_OK && deny(path)) return -1;
    return real(path, mode);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int failed = real(clock, now);
    long long shift = clock == CLOCK_REALTIME ? wall_ns : clock == CLOCK_BOOTTIME ? boot_ns : 0;
    if (!failed && shift) {
        long long ns = now->tv_sec * 1000000000LL + now->tv_nsec + shift;
        now->tv_sec = ns / 1000000000LL;
        now->tv_nsec = ns % 1000000000LL;
    }
    return failed;
}
