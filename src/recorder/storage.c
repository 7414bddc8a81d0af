/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "storage.h"

#include "lapmark/abi.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define FILE_FLAGS (O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define SIDE_DIRECTORY ".lapmark"
/* As in the kernel's linux/magic.h, which not everybody has. */
#define TMPFS_TYPE 0x01021994
#define RAMFS_TYPE 0x858458F6

static int is_on_tmpfs(int fd)
{
    struct statfs info;
    return fstatfs(fd, &info) == 0 && (info.f_type == TMPFS_TYPE || info.f_type == RAMFS_TYPE);
}

/* Opens a directory that is ours: made with mode 0700 where it is missing, refused where it is another user's. */
static int directory_open_own(const char *path)
{
    if (mkdirat(AT_FDCWD, path, 0700) < 0 && errno != EEXIST)
        return -errno;
    const int fd = openat(AT_FDCWD, path, DIRECTORY_FLAGS);
    if (fd < 0)
        return -errno;
    struct stat status;
    if (fstat(fd, &status) < 0 || status.st_uid != geteuid() || (status.st_mode & 022) != 0) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

static int directory_make_below(int parent_fd, const char *name)
{
    if (mkdirat(parent_fd, name, 0700) < 0)
        return -errno;
    const int fd = openat(parent_fd, name, DIRECTORY_FLAGS);
    return fd < 0 ? -errno : fd;
}

/* The user's DIR: made where it is missing, parents too. It may be anybody's who may write to it; links in it are the
 * user's own affair. */
static int directory_open_target(const char *path)
{
    char part[LAP_STORAGE_PATH_BYTES];
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdirat(AT_FDCWD, part, 0700) < 0 && errno != EEXIST && path[i] == 0)
            return -errno;
    }
    const int fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The directory of mapped files on the machine's shared-memory file system. */
static int shared_open(struct lap_storage *storage)
{
    static const char places[][10] = {"/dev/shm", "/run/user", "/tmp"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char parent[LAP_STORAGE_PATH_BYTES];
        if (i == 1)
            snprintf(parent, sizeof parent, "%s/%u/lapmark", places[i], geteuid());
        else
            snprintf(parent, sizeof parent, "%s/lapmark-%u", places[i], geteuid());
        const int parent_fd = directory_open_own(parent);
        if (parent_fd < 0)
            continue;
        int fd = -ENOTSUP;
        if (is_on_tmpfs(parent_fd))
            fd = directory_make_below(parent_fd, storage->name);
        close(parent_fd);
        if (fd >= 0) {
            snprintf(storage->directory, sizeof storage->directory, "%.500s/%s", parent, storage->name);
            return fd;
        }
    }
    return -ENOTSUP;
}

static void link_at(int directory_fd, const char *target_directory, const char *target, const char *name)
{
    char path[LAP_STORAGE_PATH_BYTES + LAP_STORAGE_NAME_BYTES];
    snprintf(path, sizeof path, "%s/%s", target_directory, target);
    if (symlinkat(path, directory_fd, name) < 0 && errno == EEXIST) {
        unlinkat(directory_fd, name, 0);
        if (symlinkat(path, directory_fd, name) < 0)
            return;
    }
}

int lap_storage_open(struct lap_storage *storage, const char *directory, const char *name, enum lap_storage_use use)
{
    const int is_full = use == LAP_STORAGE_FULL;
    memset(storage, 0, sizeof *storage);
    storage->directory_fd = storage->disk_fd = -1;
    storage->is_full = is_full;
    snprintf(storage->name, sizeof storage->name, "%s", name);
    if (snprintf(storage->disk, sizeof storage->disk, "%s/%s", directory, name) >= (int)sizeof storage->disk)
        return -ENAMETOOLONG;
    const int target_fd = directory_open_target(directory);
    if (target_fd < 0)
        return target_fd;

    int error = 0, is_made;
    if (use == LAP_STORAGE_FLIGHT && is_on_tmpfs(target_fd)) {
        storage->directory_fd = directory_make_below(target_fd, name);
        error = storage->directory_fd < 0 ? storage->directory_fd : 0;
        is_made = error == 0;
        snprintf(storage->directory, sizeof storage->directory, "%s", storage->disk);
        storage->kind = LAP_STORAGE_TMPFS;
    } else {
        storage->directory_fd = use == LAP_STORAGE_SNAPSHOT ? -ENOTSUP : shared_open(storage);
        storage->kind = storage->directory_fd < 0 ? LAP_STORAGE_DISK : LAP_STORAGE_TMPFS;
        if (storage->kind == LAP_STORAGE_TMPFS && !is_full) {
            if (symlinkat(storage->directory, target_fd, name) < 0)
                error = -errno;
        } else {
            storage->disk_fd = directory_make_below(target_fd, name);
            error = storage->disk_fd < 0 ? storage->disk_fd : 0;
        }
        is_made = error == 0;
    }
    if (error == 0 && storage->directory_fd >= 0 && mkdirat(storage->directory_fd, SIDE_DIRECTORY, 0700) < 0)
        error = -errno;
    if (error == 0 && storage->disk_fd >= 0) {
        if (storage->kind == LAP_STORAGE_TMPFS)
            link_at(storage->disk_fd, storage->directory, SIDE_DIRECTORY, SIDE_DIRECTORY);
        else if (mkdirat(storage->disk_fd, SIDE_DIRECTORY, 0700) < 0)
            error = -errno;
    }
    close(target_fd);
    if (error < 0) {
        if (!is_made)
            storage->disk[0] = 0; /* what has its name is not ours */
        lap_storage_discard(storage);
    }
    return error;
}

void lap_storage_done(struct lap_storage *storage)
{
    if (storage->directory_fd >= 0)
        close(storage->directory_fd);
    if (storage->disk_fd >= 0)
        close(storage->disk_fd);
    storage->directory_fd = storage->disk_fd = -1;
    storage->kind = LAP_STORAGE_MEMORY;
}

void lap_storage_discard(struct lap_storage *storage)
{
    static const char files[][18] = {"metadata", ".metadata", SIDE_DIRECTORY "/control", SIDE_DIRECTORY "/paths"};
    const int fds[] = {storage->directory_fd, storage->disk_fd};
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; fds[i] >= 0 && k < sizeof files / sizeof *files; k++)
            unlinkat(fds[i], files[k], 0);
        if (fds[i] >= 0 && unlinkat(fds[i], SIDE_DIRECTORY, AT_REMOVEDIR) < 0)
            unlinkat(fds[i], SIDE_DIRECTORY, 0);
    }
    if (storage->directory_fd >= 0)
        unlinkat(AT_FDCWD, storage->directory, AT_REMOVEDIR);
    if (storage->disk[0] != 0 && unlinkat(AT_FDCWD, storage->disk, AT_REMOVEDIR) < 0 && errno == ENOTDIR)
        unlinkat(AT_FDCWD, storage->disk, 0);
    lap_storage_done(storage);
}

int lap_storage_absolute(char *out, const char *path)
{
    size_t used = 0;
    *out = 0;
    if (*path != '/') {
        if (!getcwd(out, LAP_STORAGE_PATH_BYTES)) {
            *out = 0;
            return errno == ERANGE ? -ENAMETOOLONG : -errno;
        }
        used = strlen(out);
        out[used++] = '/';
    }
    const size_t length = strlen(path);
    if (used + length >= LAP_STORAGE_PATH_BYTES) {
        *out = 0;
        return -ENAMETOOLONG;
    }
    memcpy(out + used, path, length + 1);
    return 0;
}

size_t lap_storage_read_text(const char *path, char *out, size_t bytes)
{
    const int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? 0 : read(fd, out, bytes - 1);
    if (fd >= 0)
        close(fd);
    out[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

int lap_storage_refusal(void)
{
    const int error = errno;
    if (error == EFBIG) {
        sigset_t limit;
        sigemptyset(&limit);
        sigaddset(&limit, SIGXFSZ);
        sigtimedwait(&limit, NULL, &(const struct timespec){0, 0});
    }
    return -error;
}

/* Every byte of a file is there before it is touched. A signal may cut it short on some kernels, one that is held back, too. */
static int reserve_bytes(int fd, size_t bytes)
{
    int error, tries = 0;
    do
        error = posix_fallocate(fd, 0, (off_t)bytes);
    while (error == EINTR && ++tries < 1000);
    errno = error;
    return error == 0 ? 0 : -lap_storage_refusal();
}

static int files_fd(const struct lap_storage *storage)
{
    return storage->kind == LAP_STORAGE_TMPFS ? storage->directory_fd : storage->disk_fd;
}

int lap_storage_create(const struct lap_storage *storage, const char *name, size_t bytes)
{
    const int directory_fd = files_fd(storage);
    const int fd = openat(directory_fd, name, FILE_FLAGS, 0600);
    if (fd < 0)
        return -errno;
    if (bytes != 0 && ftruncate(fd, (off_t)bytes) < 0) {
        const int error = lap_storage_refusal();
        close(fd);
        unlinkat(directory_fd, name, 0);
        return error;
    }
    return fd;
}

int lap_storage_to_memory(void *address, size_t bytes)
{
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    memcpy(memory, address, bytes);
    LAP_I_POINT("table copied back");
    if (mremap(memory, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, address) != MAP_FAILED)
        return 0;
    const int error = -errno;
    munmap(memory, bytes);
    return error;
}

void *lap_storage_map(const struct lap_storage *storage, const char *name, size_t bytes, void *address, int keep,
                      int *ret_error)
{
    const int fixed = address ? MAP_FIXED : 0;
    if (storage->kind != LAP_STORAGE_TMPFS) {
        if (keep) /* it is in memory */
            return address;
        void *const memory = mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
        if (memory != MAP_FAILED)
            return memory;
        *ret_error = -errno;
        return NULL;
    }
    const int fd = lap_storage_create(storage, name, 0);
    if (fd < 0) {
        *ret_error = fd;
        return NULL;
    }
    void *memory = MAP_FAILED;
    int error = reserve_bytes(fd, bytes);
    if (error == 0 && keep) {
        ssize_t written = pwrite(fd, address, bytes, 0);
        if (written != (ssize_t)bytes)
            error = written < 0 ? -lap_storage_refusal() : ENOSPC;
    }
    if (error == 0) {
        LAP_I_POINT("file without map");
        memory = mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE | fixed, fd, 0);
        if (memory == MAP_FAILED)
            error = errno;
    }
    close(fd);
    if (memory == MAP_FAILED) {
        unlinkat(storage->directory_fd, name, 0);
        *ret_error = -error;
        return NULL;
    }
    return memory;
}

void *lap_storage_extend(const struct lap_storage *storage, const char *name, void *old, size_t old_bytes, size_t bytes)
{
    if (storage->kind == LAP_STORAGE_TMPFS && name) {
        const int fd = openat(storage->directory_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return NULL;
        const int error = reserve_bytes(fd, bytes);
        close(fd);
        if (error != 0)
            return NULL;
    }
#if defined(LAP_THREAD_SANITIZER) /* it does not see mremap: what another thread has written there is long gone */
    void *const place = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *const memory =
        place == MAP_FAILED ? place : mremap(old, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
#else
    void *const memory = mremap(old, old_bytes, bytes, MREMAP_MAYMOVE);
#endif
    return memory == MAP_FAILED ? NULL : memory;
}

int lap_storage_rename(const struct lap_storage *storage, const char *from, const char *to)
{
    const int directory_fd = files_fd(storage);
    return renameat(directory_fd, from, directory_fd, to) < 0 ? -errno : 0;
}

int lap_storage_publish(const struct lap_storage *storage, const char *from, const char *to)
{
    return storage->kind == LAP_STORAGE_TMPFS ? lap_storage_rename(storage, from, to) : 0;
}

void lap_storage_link(const struct lap_storage *storage, const char *name, const char *link)
{
    if (storage->kind == LAP_STORAGE_TMPFS && storage->disk_fd >= 0)
        link_at(storage->disk_fd, storage->directory, name, link);
}

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? lap_storage_refusal() : -ENOSPC;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

int lap_storage_write(const struct lap_storage *storage, const char *name, const void *bytes, size_t count)
{
    return lap_storage_write_headed(storage, name, NULL, 0, bytes, count);
}

int lap_storage_write_headed(const struct lap_storage *storage, const char *name, const void *head, size_t head_bytes,
                             const void *bytes, size_t count)
{
    char part[LAP_STORAGE_NAME_BYTES + 8];
    snprintf(part, sizeof part, ".lapmark/.%s", strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
    if (storage->kind == LAP_STORAGE_TMPFS)
        snprintf(part, sizeof part, ".part-%s", name);
    unlinkat(storage->disk_fd, part, 0);
    const int fd = openat(storage->disk_fd, part, FILE_FLAGS, 0600);
    if (fd < 0)
        return -errno;
    int error = write_all(fd, head, head_bytes);
    if (error == 0)
        error = write_all(fd, (const char *)bytes + head_bytes, count - head_bytes);
    if (close(fd) < 0 && error == 0)
        error = -errno;
    LAP_I_POINT("file without name");
    if (error == 0 && renameat(storage->disk_fd, part, storage->disk_fd, name) < 0)
        error = -errno;
    if (error != 0)
        unlinkat(storage->disk_fd, part, 0);
    return error;
}

void lap_storage_cut(const struct lap_storage *storage, const char *name, size_t bytes)
{
    if (storage->kind != LAP_STORAGE_TMPFS)
        return;
    const int fd = openat(storage->directory_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (ftruncate(fd, (off_t)bytes) < 0) {
        /* It stays longer than it need be. */
    }
    close(fd);
}

void lap_storage_remove(const struct lap_storage *storage, const char *name)
{
    if (storage->kind == LAP_STORAGE_TMPFS)
        unlinkat(storage->directory_fd, name, 0);
    if (storage->disk_fd >= 0)
        unlinkat(storage->disk_fd, name, 0);
}
