/* A disk that fails: with LD_PRELOAD, calls on files below $FAULTY_PATH fail with the error $FAULTY_ERROR.
 *
 * $FAULTY_CALLS names the calls, with blanks around each: " write fsync ". Asked anew at each call, so that a process
 * that was forked can set them for itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(const char *call, const char *path)
{
    const char *below = getenv("FAULTY_PATH"), *calls = getenv("FAULTY_CALLS"), *error = getenv("FAULTY_ERROR");
    char name[32];
    if (!below || !calls || !error || !path || !strstr(path, below))
        return 0;
    snprintf(name, sizeof name, " %s ", call);
    if (!strstr(calls, name))
        return 0;
    errno = atoi(error);
    return 1;
}

static int fails_at(const char *call, int descriptor)
{
    char link[64], path[4096];
    if (!getenv("FAULTY_PATH"))
        return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(call, path);
}

#define BY_DESCRIPTOR(kind, name, call, parameters, arguments)                                                         \
    kind name parameters                                                                                               \
    {                                                                                                                  \
        static kind(*real) parameters;                                                                                 \
        if (!real)                                                                                                     \
            real = dlsym(RTLD_NEXT, #name);                                                                            \
        return fails_at(call, descriptor) ? -1 : real arguments;                                                       \
    }
#define BY_NAME(name, call, path, parameters, arguments)                                                               \
    int name parameters                                                                                                \
    {                                                                                                                  \
        static int(*real) parameters;                                                                                  \
        if (!real)                                                                                                     \
            real = dlsym(RTLD_NEXT, #name);                                                                            \
        return fails(call, path) ? -1 : real arguments;                                                                \
    }

BY_DESCRIPTOR(ssize_t, write, "write", (int descriptor, const void *from, size_t size), (descriptor, from, size))
BY_DESCRIPTOR(ssize_t, writev, "write", (int descriptor, const struct iovec *from, int count), (descriptor, from, count))
BY_DESCRIPTOR(ssize_t, pwrite, "write", (int descriptor, const void *from, size_t size, off_t at),
              (descriptor, from, size, at))
BY_DESCRIPTOR(ssize_t, pwrite64, "write", (int descriptor, const void *from, size_t size, off64_t at),
              (descriptor, from, size, at))
BY_DESCRIPTOR(ssize_t, read, "read", (int descriptor, void *to, size_t size), (descriptor, to, size))
BY_DESCRIPTOR(ssize_t, pread, "read", (int descriptor, void *to, size_t size, off_t at), (descriptor, to, size, at))
BY_DESCRIPTOR(ssize_t, pread64, "read", (int descriptor, void *to, size_t size, off64_t at), (descriptor, to, size, at))
BY_DESCRIPTOR(int, fsync, "fsync", (int descriptor), (descriptor))
BY_DESCRIPTOR(int, fdatasync, "fsync", (int descriptor), (descriptor))
BY_DESCRIPTOR(int, flock, "flock", (int descriptor, int kind), (descriptor, kind))
BY_NAME(link, "link", to, (const char *from, const char *to), (from, to))
BY_NAME(linkat, "link", to, (int old, const char *from, int new, const char *to, int flags), (old, from, new, to, flags))
BY_NAME(rename, "rename", to, (const char *from, const char *to), (from, to))
BY_NAME(renameat, "rename", to, (int old, const char *from, int new, const char *to), (old, from, new, to))
BY_NAME(unlink, "unlink", path, (const char *path), (path))
BY_NAME(mkdir, "mkdir", path, (const char *path, mode_t mode), (path, mode))
