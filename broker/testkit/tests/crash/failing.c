/* Lets the calls of one process on one file fail, from outside and while it runs: the kernel does
 * not make a file system read-only under a file that is open for writing (EBUSY); it does so
 * itself when a device fails, and that can only be imitated.
 *
 * Preloaded. While the file named by WARDER_TEST_FAILING exists and holds `<errno> <what> <name>`,
 * calls on files whose path ends in <name> fail with <errno>: `w` those that write and those that
 * open for writing, `s` those that sync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

static int ends(const char *path, const char *name) {
    size_t path_length = strlen(path), length = strlen(name);
    return path_length >= length && strcmp(path + path_length - length, name) == 0;
}

/* Whether this kind of call on this path fails; sets errno. */
static int fails(char what, const char *path) {
    const char *control = getenv("WARDER_TEST_FAILING");
    char text[256], name[200], kind;
    int number;
    if (control == NULL) return 0;
    int fd = REAL(open64, control, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) return 0;
    text[length] = 0;
    if (sscanf(text, "%d %c %199s", &number, &kind, name) != 3 || kind != what || !ends(path, name)) return 0;
    errno = number;
    return 1;
}

static int fails_fd(char what, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(what, path);
}

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    int mode = va_arg(list, int);
    va_end(list);
    if ((flags & O_ACCMODE) != O_RDONLY && fails('w', path)) return -1;
    return REAL(open64, path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return fails_fd('w', fd) ? -1 : REAL(write, fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return fails_fd('w', fd) ? -1 : REAL(pwrite64, fd, bytes, length, at);
}

int ftruncate64(int fd, off64_t length) {
    return fails_fd('w', fd) ? -1 : REAL(ftruncate64, fd, length);
}

int fdatasync(int fd) {
    return fails_fd('s', fd) ? -1 : REAL(fdatasync, fd);
}

int fsync(int fd) {
    return fails_fd('s', fd) ? -1 : REAL(fsync, fd);
}
