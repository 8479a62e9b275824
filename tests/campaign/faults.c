/* A disk that fails: preloaded, it counts the calls that write below a folder and lets one, or all from one
   on, fail.  Built and armed by tests/campaign/faults.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static long calls, first, last;
static int reason, halve, halved_fd = -1;

/* From call k (counted from 1) to call `until`, fail with `why`; with `half`, call k writes half of its bytes. */
void fault_arm(const char *folder, long k, long until, int why, int half) {
    snprintf(below, sizeof below, "%s", folder);
    calls = 0, first = k, last = until, reason = why, halve = half;
}
long fault_calls(void) { return calls; }

static int inside(const char *path) {
    return *below && path && strncmp(path, below, strlen(below)) == 0;
}
static int inside_fd(int fd) {
    char link[64], path[PATH_MAX];
    if (!*below || fd < 3) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return inside(path);
}
/* 0: go on; 1: fail; 2: write half. */
static int verdict(void) {
    long now = __sync_add_and_fetch(&calls, 1);
    if (!first || now < first || now > last) return 0;
    if (halve && now == first) return 2;
    errno = reason;
    return 1;
}
#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (inside_fd(fd)) {
        int v = verdict();
        if (v == 1) return -1;
        if (v == 2) return real(fd, data, size > 1 ? size / 2 : size);
    }
    return real(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    if (inside_fd(fd)) {
        int v = verdict();
        if (v == 1) return -1;
        if (v == 2) return write(fd, parts[0].iov_base, parts[0].iov_len);
    }
    return real(fd, parts, count);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    if (inside_fd(fd)) {
        int v = verdict();
        if (v == 1) return -1;
        if (v == 2) return real(fd, data, size > 1 ? size / 2 : size, at);
    }
    return real(fd, data, size, at);
}
int fsync(int fd) {
    REAL(fsync);
    return inside_fd(fd) && verdict() == 1 ? -1 : real(fd);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    return inside(to) && verdict() == 1 ? -1 : real(from, to);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return inside(path) && verdict() == 1 ? -1 : real(path, mode);
}
int unlink(const char *path) {
    REAL(unlink);
    return inside(path) && reason == EIO && verdict() == 1 ? -1 : real(path);
}
static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    if ((flags & (O_CREAT | O_TRUNC)) && inside(path) && verdict() == 1) return -1;
    return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open64");
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    return opened(real, path, flags, mode);
}
int open(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open");
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    return opened(real, path, flags, mode);
}
