/* Faults at system calls, for the tests: preloaded into a Python that writes a store.

   While armed, every call that changes a file under PREFIX is counted. At the chosen call the process is killed
   (before the call, or when a write is half done), or the call fails; or, beyond a number of bytes, the disk is full.
   With a shadow folder, what has been synced is copied there, so that a power cut can be acted out afterwards:
   each fsync of a file makes SHADOW/<inode>.<number>, each fsync of a folder a line "D <inode> <names and inodes>". */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, KILL, TEAR, FAIL, FULL };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int mode = NONE;
static long at, calls, room, times;
static char prefix[PATH_MAX], shadow[PATH_MAX];

#define REAL(name, type, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

void fault_arm(const char *path, int what, long number, long bytes, long failures, const char *copies) {
  pthread_mutex_lock(&lock);
  snprintf(prefix, sizeof prefix, "%s", path);
  snprintf(shadow, sizeof shadow, "%s", copies ? copies : "");
  at = number, room = bytes, times = failures, calls = 0, mode = what;
  pthread_mutex_unlock(&lock);
}

long fault_disarm(void) {
  mode = NONE;
  shadow[0] = 0;
  return calls;
}

static int inside(const char *path) {
  size_t length = strlen(prefix);
  return length && !strncmp(path, prefix, length) && (path[length] == '/' || !path[length]);
}

static int inside_fd(int fd) {
  char link[64], path[PATH_MAX];
  if (!prefix[0]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return inside(path);
}

static int inside_at(int dir, const char *path) {
  char whole[PATH_MAX];
  if (path[0] == '/' || dir == AT_FDCWD) {
    if (path[0] == '/') return inside(path);
    if (!realpath(".", whole)) return 0;
    return inside(whole);
  }
  return inside_fd(dir);
}

static void die(void) {
  syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  for (;;) pause();
}

/* 0: go on; 1: this write is to be torn; otherwise the error number to fail with. */
static int step(int writes) {
  int answer = 0;
  pthread_mutex_lock(&lock);
  calls++;
  if ((mode == KILL || (mode == TEAR && !writes)) && calls == at) die();
  if (mode == TEAR && calls == at) answer = 1;
  if (mode == FAIL && calls >= at && calls < at + times) answer = EIO;
  pthread_mutex_unlock(&lock);
  return answer;
}

/* How many of `count` bytes still fit on the disk. */
static size_t fits(size_t count) {
  if (mode != FULL) return count;
  pthread_mutex_lock(&lock);
  size_t left = room < 0 ? 0 : (size_t)room;
  size_t part = count < left ? count : left;
  room -= (long)part;
  pthread_mutex_unlock(&lock);
  return part;
}

#define BEFORE(writes) \
  int error = step(writes); \
  if (error > 1) { errno = error; return -1; }

ssize_t write(int fd, const void *data, size_t count) {
  REAL("write", ssize_t, int, const void *, size_t);
  if ((mode == NONE && !shadow[0]) || !inside_fd(fd)) return real(fd, data, count);
  BEFORE(1)
  if (error == 1) { real(fd, data, count / 2); die(); }
  size_t part = fits(count);
  if (!part && count) { errno = ENOSPC; return -1; }
  return real(fd, data, part);
}

#define PWRITE(name) \
  ssize_t name(int fd, const void *data, size_t count, off_t offset) { \
    REAL(#name, ssize_t, int, const void *, size_t, off_t); \
    if ((mode == NONE && !shadow[0]) || !inside_fd(fd)) return real(fd, data, count, offset); \
    BEFORE(1) \
    if (error == 1) { real(fd, data, count / 2, offset); die(); } \
    size_t part = fits(count); \
    if (!part && count) { errno = ENOSPC; return -1; } \
    return real(fd, data, part, offset); \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL("writev", ssize_t, int, const struct iovec *, int);
  if ((mode == NONE && !shadow[0]) || !inside_fd(fd)) return real(fd, parts, count);
  return count > 0 ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0;
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream) {
  REAL("fwrite", size_t, const void *, size_t, size_t, FILE *);
  if ((mode == NONE && !shadow[0]) || !inside_fd(fileno(stream))) return real(data, size, count, stream);
  int error = step(1);
  if (error > 1) { errno = error; return 0; }
  if (error == 1) { real(data, size, count / 2, stream); fflush(stream); die(); }
  size_t part = fits(size * count);
  if (part < size * count) { errno = ENOSPC; return 0; }
  return real(data, size, count, stream);
}

#define COPY(name) \
  ssize_t name(int out, int in, off_t *offset, size_t count) { \
    REAL(#name, ssize_t, int, int, off_t *, size_t); \
    if ((mode == NONE && !shadow[0]) || !inside_fd(out)) return real(out, in, offset, count); \
    BEFORE(1) \
    if (error == 1) { real(out, in, offset, count / 2); die(); } \
    size_t part = fits(count); \
    if (!part && count) { errno = ENOSPC; return -1; } \
    return real(out, in, offset, part); \
  }
COPY(sendfile)
COPY(sendfile64)

static void synced_file(int fd, const struct stat *status) {
  static long number;
  char path[PATH_MAX + 64], link[64], block[65536];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  snprintf(path, sizeof path, "%s/%lu.%ld", shadow, (unsigned long)status->st_ino, ++number);
  int in = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY, 0);
  int out = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ssize_t n;
  while (in >= 0 && (n = read(in, block, sizeof block)) > 0) syscall(SYS_write, out, block, n);
  syscall(SYS_close, in);
  syscall(SYS_close, out);
}

static void synced_folder(int fd, const struct stat *status) {
  char path[PATH_MAX + 64], line[65536];
  int copy = (int)syscall(SYS_openat, fd, ".", O_RDONLY | O_DIRECTORY, 0);
  DIR *folder = copy < 0 ? NULL : fdopendir(copy);
  if (!folder) return;
  size_t used = (size_t)snprintf(line, sizeof line, "D %lu", (unsigned long)status->st_ino);
  for (struct dirent *entry; (entry = readdir(folder));)
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
      used += (size_t)snprintf(line + used, sizeof line - used, "\t%lu/%s", (unsigned long)entry->d_ino, entry->d_name);
  closedir(folder);
  line[used++] = '\n';
  snprintf(path, sizeof path, "%s/log", shadow);
  int out = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  syscall(SYS_write, out, line, used);
  syscall(SYS_close, out);
}

static void synced(int fd) {
  struct stat status;
  if (!shadow[0] || fstat(fd, &status)) return;
  pthread_mutex_lock(&lock);
  if (S_ISDIR(status.st_mode)) synced_folder(fd, &status);
  else synced_file(fd, &status);
  pthread_mutex_unlock(&lock);
}

#define SYNC(name) \
  int name(int fd) { \
    REAL(#name, int, int); \
    if ((mode == NONE && !shadow[0]) || !inside_fd(fd)) return real(fd); \
    BEFORE(0) \
    int result = real(fd); \
    if (!result) synced(fd); \
    return result; \
  }
SYNC(fsync)
SYNC(fdatasync)

#define CUT(name) \
  int name(int fd, off_t length) { \
    REAL(#name, int, int, off_t); \
    if (mode == NONE || !inside_fd(fd)) return real(fd, length); \
    BEFORE(0) \
    return real(fd, length); \
  }
CUT(ftruncate)
CUT(ftruncate64)

int rename(const char *from, const char *to) {
  REAL("rename", int, const char *, const char *);
  if (mode == NONE || !inside_at(AT_FDCWD, to)) return real(from, to);
  BEFORE(0)
  return real(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
  REAL("renameat", int, int, const char *, int, const char *);
  if (mode == NONE || !inside_at(to_dir, to)) return real(from_dir, from, to_dir, to);
  BEFORE(0)
  return real(from_dir, from, to_dir, to);
}

int unlink(const char *path) {
  REAL("unlink", int, const char *);
  if (mode == NONE || !inside_at(AT_FDCWD, path)) return real(path);
  BEFORE(0)
  return real(path);
}

int unlinkat(int dir, const char *path, int flags) {
  REAL("unlinkat", int, int, const char *, int);
  if (mode == NONE || !inside_at(dir, path)) return real(dir, path, flags);
  BEFORE(0)
  return real(dir, path, flags);
}

int link(const char *from, const char *to) {
  REAL("link", int, const char *, const char *);
  if (mode == NONE || !inside_at(AT_FDCWD, to)) return real(from, to);
  BEFORE(0)
  return real(from, to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
  REAL("linkat", int, int, const char *, int, const char *, int);
  if (mode == NONE || !inside_at(to_dir, to)) return real(from_dir, from, to_dir, to, flags);
  BEFORE(0)
  return real(from_dir, from, to_dir, to, flags);
}

int mkdir(const char *path, mode_t bits) {
  REAL("mkdir", int, const char *, mode_t);
  if (mode == NONE || !inside_at(AT_FDCWD, path)) return real(path, bits);
  BEFORE(0)
  return real(path, bits);
}

int mkdirat(int dir, const char *path, mode_t bits) {
  REAL("mkdirat", int, int, const char *, mode_t);
  if (mode == NONE || !inside_at(dir, path)) return real(dir, path, bits);
  BEFORE(0)
  return real(dir, path, bits);
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(#name, int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    int bits = va_arg(rest, int); \
    va_end(rest); \
    if (mode == NONE || !(flags & O_CREAT) || !inside_at(AT_FDCWD, path)) return real(path, flags, bits); \
    BEFORE(0) \
    if (mode == FULL && room <= 0 && access(path, F_OK)) { errno = ENOSPC; return -1; } \
    return real(path, flags, bits); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
  int name(int dir, const char *path, int flags, ...) { \
    REAL(#name, int, int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    int bits = va_arg(rest, int); \
    va_end(rest); \
    if (mode == NONE || !(flags & O_CREAT) || !inside_at(dir, path)) return real(dir, path, flags, bits); \
    BEFORE(0) \
    if (mode == FULL && room <= 0 && faccessat(dir, path, F_OK, 0)) { errno = ENOSPC; return -1; } \
    return real(dir, path, flags, bits); \
  }
OPENAT(openat)
OPENAT(openat64)
