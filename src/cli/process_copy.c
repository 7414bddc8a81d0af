/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "process_copy.h"

#include "lapmark/format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SIDE_DIRECTORY ".lapmark"
#define PART_PREFIX ".part-"
#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

enum { BLOCK_BYTES = 4096, BUFFER_BYTES = 1 << 20, NAME_BYTES = 280 };
enum { METADATA_HEADER_BYTES = 37, METADATA_CONTENT_OFFSET = 24, METADATA_PACKET_OFFSET = 28 };

static int part_name(char part[NAME_BYTES], const char *name)
{
    return snprintf(part, NAME_BYTES, PART_PREFIX "%s", name) < NAME_BYTES ? 0 : -ENAMETOOLONG;
}

/* ---- files ---- */

int lap_file_write_at(int fd, const void *memory, size_t count, uint64_t offset)
{
    const char *bytes = memory;
    while (count > 0) {
        const ssize_t written = pwrite(fd, bytes, count, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -ENOSPC;
        bytes += written;
        offset += (uint64_t)written;
        count -= (size_t)written;
    }
    return 0;
}

int lap_file_read_exactly(int fd, void *buffer, size_t count, uint64_t offset)
{
    char *bytes = buffer;
    while (count > 0) {
        const ssize_t got = pread(fd, bytes, count, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        bytes += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return 0;
}

static bool is_zero(const char *bytes, size_t count) { return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0; }

/* Copies `size` bytes from one offset to another, leaving out what is a hole or a block of zeros. */
static int copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t size, uint64_t *written)
{
    char *const buffer = malloc(BUFFER_BYTES);
    if (!buffer)
        return -ENOMEM;
    int error = 0;
    for (uint64_t at = 0; at < size && error == 0;) {
        const off_t data = lseek(from, (off_t)(from_offset + at), SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        if (data > 0 && (uint64_t)data - from_offset >= size)
            break;
        if (data > 0)
            at = (uint64_t)data - from_offset;
        const size_t count = size - at < BUFFER_BYTES ? (size_t)(size - at) : BUFFER_BYTES;
        error = lap_file_read_exactly(from, buffer, count, from_offset + at);
        for (size_t block = 0; block < count && error == 0; block += BLOCK_BYTES) {
            const size_t length = count - block < BLOCK_BYTES ? count - block : BLOCK_BYTES;
            if (is_zero(buffer + block, length))
                continue;
            error = lap_file_write_at(to, buffer + block, length, to_offset + at + block);
            *written += length;
        }
        at += count;
    }
    free(buffer);
    return error;
}

/* A segment is one packet: the copy's is as long as its content. One that is torn or no segment is copied as it is. */
static int copy_segment(int from, int to, uint64_t size, uint64_t *written)
{
    struct lap_format_segment header;
    uint64_t content = size;
    bool is_sound = false;
    if (size >= sizeof header) {
        const int error = lap_file_read_exactly(from, &header, sizeof header, 0);
        if (error < 0)
            return error;
        is_sound = header.magic == LAP_FORMAT_PACKET_MAGIC && header.content_bits % 64 == 0 &&
                   header.content_bits / 8 >= sizeof header && header.content_bits / 8 <= size;
        if (is_sound)
            content = header.content_bits / 8;
    }
    int error = copy_range(from, 0, to, 0, content, written);
    if (error == 0 && is_sound) {
        header.packet_bits = header.content_bits;
        error = lap_file_write_at(to, (const char *)&header, sizeof header, 0);
    }
    return error == 0 && ftruncate(to, (off_t)content) < 0 ? -errno : error;
}

/* The same with each packet of the metadata. */
static int copy_metadata(int from, int to, uint64_t size, uint64_t *written)
{
    uint64_t out = 0;
    int error = 0;
    for (uint64_t at = 0; at < size && error == 0;) {
        unsigned char header[METADATA_HEADER_BYTES];
        uint32_t content_bits = 0;
        uint32_t packet_bits = 0;
        uint32_t magic = 0;
        if (size - at >= sizeof header) {
            error = lap_file_read_exactly(from, header, sizeof header, at);
            if (error < 0)
                return error;
            memcpy(&magic, header, sizeof magic);
            memcpy(&content_bits, header + METADATA_CONTENT_OFFSET, sizeof content_bits);
            memcpy(&packet_bits, header + METADATA_PACKET_OFFSET, sizeof packet_bits);
        }
        const bool is_sound = magic == LAP_FORMAT_METADATA_MAGIC && content_bits % 8 == 0 && packet_bits % 8 == 0 &&
                              content_bits / 8 >= sizeof header && content_bits <= packet_bits &&
                              packet_bits / 8 <= size - at;
        const uint64_t content = is_sound ? content_bits / 8 : size - at;
        error = copy_range(from, at, to, out, content, written);
        if (error == 0 && is_sound)
            error = lap_file_write_at(to, (const char *)&content_bits, sizeof content_bits, out + METADATA_PACKET_OFFSET);
        at += is_sound ? packet_bits / 8 : content;
        out += content;
    }
    return error == 0 && ftruncate(to, (off_t)out) < 0 ? -errno : error;
}

static int copy_bytes(int from, int to, uint64_t size, uint64_t *written)
{
    const int error = copy_range(from, 0, to, 0, size, written);
    return error == 0 && ftruncate(to, (off_t)size) < 0 ? -errno : error;
}

/* An empty file is a segment that was never begun: 0, and not copied. */
static int copy_file(int from_directory, const char *from_name, int to_directory, const char *to_name, uint64_t *written)
{
    const int from = openat(from_directory, from_name, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return -errno;
    struct stat status;
    if (fstat(from, &status) < 0 || status.st_size == 0 || !S_ISREG(status.st_mode)) {
        close(from);
        return 0;
    }
    unlinkat(to_directory, to_name, 0);
    const int to = openat(to_directory, to_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = to < 0 ? -errno : 0;
    const uint64_t size = (uint64_t)status.st_size;
    if (to >= 0) {
        if (strncmp(from_name, "stream-", 7) == 0)
            error = copy_segment(from, to, size, written);
        else if (strcmp(from_name, "metadata") == 0)
            error = copy_metadata(from, to, size, written);
        else
            error = copy_bytes(from, to, size, written);
        if (close(to) < 0 && error == 0)
            error = -errno;
    }
    close(from);
    return error;
}

/* ---- directories ---- */

/* Removes what this file makes and the recorder makes: files, and directories one in another. */
int lap_directory_remove(int parent, const char *name)
{
    const int fd = openat(parent, name, DIRECTORY_FLAGS | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    DIR *const directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return -ENOMEM;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) < 0 && (errno == EISDIR || errno == EPERM))
            lap_directory_remove(fd, entry->d_name);
    }
    closedir(directory);
    return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Copies a directory and, of those in it, .lapmark. Other hidden names are segments that were being made. */
static int copy_directory(int from_parent, const char *from_name, int to_parent, const char *to_name, uint64_t *written)
{
    const int from = openat(from_parent, from_name, DIRECTORY_FLAGS);
    if (from < 0)
        return -errno;
    DIR *const directory = fdopendir(from);
    if (!directory) {
        close(from);
        return -ENOMEM;
    }
    int error = mkdirat(to_parent, to_name, 0700) < 0 ? -errno : 0;
    const int to = error == 0 ? openat(to_parent, to_name, DIRECTORY_FLAGS | O_NOFOLLOW) : -1;
    if (error == 0 && to < 0)
        error = -errno;
    for (struct dirent *entry; error == 0 && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, SIDE_DIRECTORY) == 0)
            error = copy_directory(from, entry->d_name, to, entry->d_name, written);
        else if (entry->d_name[0] != '.')
            error = copy_file(from, entry->d_name, to, entry->d_name, written);
    }
    if (to >= 0)
        close(to);
    closedir(directory);
    return error;
}

/* Puts a copied directory in the place of a link: in one step where the file system can exchange names. */
static int replace_link(int parent, const char *part, const char *name)
{
    if (renameat2(parent, part, parent, name, RENAME_EXCHANGE) == 0)
        return unlinkat(parent, part, 0) < 0 ? -errno : 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -errno;
    if (unlinkat(parent, name, 0) < 0 || renameat(parent, part, parent, name) < 0)
        return -errno;
    return 0;
}

static int copy_linked_directory(int parent, const char *name, uint64_t *written)
{
    char part[NAME_BYTES];
    int error = part_name(part, name);
    if (error == 0)
        error = lap_directory_remove(parent, part);
    if (error == 0)
        error = copy_directory(parent, name, parent, part, written);
    if (error == 0)
        error = replace_link(parent, part, name);
    if (error < 0)
        lap_directory_remove(parent, part);
    return error;
}

static int copy_linked_file(int parent, const char *name, uint64_t *written)
{
    char part[NAME_BYTES];
    int error = part_name(part, name);
    if (error == 0)
        error = copy_file(parent, name, parent, part, written);
    if (error == 0 && renameat(parent, part, parent, name) < 0)
        error = errno == ENOENT ? 0 : -errno;
    if (error < 0)
        unlinkat(parent, part, 0);
    return error;
}

/* A full recording: copies each link in DIR/<process>, .lapmark last, since it tells where the mapped files are. */
static int copy_links(int parent, const char *name, uint64_t *written)
{
    const int fd = openat(parent, name, DIRECTORY_FLAGS | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    DIR *const directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return -ENOMEM;
    }
    int error = 0;
    for (struct dirent *entry; error == 0 && (entry = readdir(directory)) != NULL;) {
        struct stat status;
        if (strncmp(entry->d_name, PART_PREFIX, strlen(PART_PREFIX)) == 0) {
            unlinkat(fd, entry->d_name, 0);
            continue;
        }
        if (entry->d_name[0] == '.' || fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISLNK(status.st_mode))
            continue;
        if (fstatat(fd, entry->d_name, &status, 0) < 0)
            unlinkat(fd, entry->d_name, 0);
        else
            error = copy_linked_file(fd, entry->d_name, written);
    }
    if (error == 0)
        error = copy_linked_directory(fd, SIDE_DIRECTORY, written);
    closedir(directory);
    return error;
}

/* ---- the place on tmpfs ---- */

/* What a link names, absolute; NULL if it is no link. */
static char *link_target(const char *directory, const char *name)
{
    char *path = NULL;
    char target[4096];
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return NULL;
    const ssize_t length = readlink(path, target, sizeof target - 1);
    free(path);
    if (length <= 0 || target[0] != '/')
        return NULL;
    target[length] = 0;
    return strdup(target);
}

int lap_process_copy_find(struct lap_process_copy *copy, const char *directory, const char *name)
{
    *copy = (struct lap_process_copy){0};
    copy->place = link_target(directory, name);
    if (copy->place)
        return 0;
    char *side = NULL;
    if (asprintf(&side, "%s/" SIDE_DIRECTORY, name) < 0)
        return -ENOMEM;
    copy->place = link_target(directory, side);
    free(side);
    if (copy->place) {
        char *const slash = strrchr(copy->place, '/');
        if (strcmp(slash, "/" SIDE_DIRECTORY) == 0)
            *slash = 0;
    }
    return 0;
}

/* Only what the recorder made is removed: a directory of the process's own name, ours, on tmpfs. */
static void remove_place(const char *place, const char *name)
{
    const char *const slash = strrchr(place, '/');
    if (!slash || slash == place || strcmp(slash + 1, name) != 0)
        return;
    char *const parent_name = strndup(place, (size_t)(slash - place));
    if (!parent_name)
        return;
    const int parent = open(parent_name, DIRECTORY_FLAGS | O_NOFOLLOW);
    free(parent_name);
    struct stat status;
    struct statfs system;
    if (parent >= 0 && fstat(parent, &status) == 0 && status.st_uid == geteuid() && fstatfs(parent, &system) == 0 &&
        (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC))
        lap_directory_remove(parent, name);
    if (parent >= 0)
        close(parent);
}

int lap_process_copy_run(struct lap_process_copy *copy, const char *directory, const char *name)
{
    if (!copy->place)
        return 0;
    const int parent = open(directory, DIRECTORY_FLAGS);
    if (parent < 0)
        return -errno;
    struct stat status;
    int error = fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (error == 0 && S_ISLNK(status.st_mode))
        error = copy_linked_directory(parent, name, &copy->bytes);
    else if (error == 0)
        error = copy_links(parent, name, &copy->bytes);
    close(parent);
    if (error == 0)
        remove_place(copy->place, name);
    return error;
}
