/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files of this machine's class and order, as the kernel and the dynamic loader read them: by
 * their program headers. */
#include "image/image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

static int read_header(struct slice file, Elf64_Ehdr *ret)
{
    if (file.len < sizeof(*ret))
        return -ENOEXEC;
    memcpy(ret, file.ptr, sizeof(*ret));
    bool good = memcmp(ret->e_ident, ELFMAG, SELFMAG) == 0 &&
                ret->e_ident[EI_CLASS] == ELFCLASS64 && ret->e_ident[EI_DATA] == ELFDATA2LSB &&
                ret->e_phentsize == sizeof(Elf64_Phdr) && ret->e_phoff <= file.len &&
                ret->e_phnum <= (file.len - ret->e_phoff) / sizeof(Elf64_Phdr);
    return good ? 0 : -ENOEXEC;
}

static Elf64_Phdr segment_at(struct slice file, const Elf64_Ehdr *header, unsigned i)
{
    Elf64_Phdr segment;
    memcpy(&segment, file.ptr + header->e_phoff + i * sizeof(segment), sizeof(segment));
    return segment;
}

static bool lies_within(const Elf64_Phdr *segment, size_t len)
{
    return segment->p_offset <= len && segment->p_filesz <= len - segment->p_offset;
}

int elf_interpreter(struct slice file, char ret[256])
{
    Elf64_Ehdr header;
    int r = read_header(file, &header);
    ret[0] = '\0';
    for (unsigned i = 0; r == 0 && i < header.e_phnum; i++) {
        Elf64_Phdr segment = segment_at(file, &header, i);
        if (segment.p_type != PT_INTERP)
            continue;
        if (!lies_within(&segment, file.len) || segment.p_filesz >= 256)
            return -ENOEXEC;
        memcpy(ret, file.ptr + segment.p_offset, segment.p_filesz);
        ret[segment.p_filesz] = '\0';
    }
    return r;
}

int elf_strip(struct buf *file)
{
    Elf64_Ehdr header;
    struct slice bytes = buf_slice(file);
    int r = read_header(bytes, &header);
    if (r < 0)
        return r;
    size_t end = header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment = segment_at(bytes, &header, i);
        if (!lies_within(&segment, bytes.len))
            return -ENOEXEC;
        if (segment.p_offset + segment.p_filesz > end)
            end = segment.p_offset + segment.p_filesz;
    }
    if (end < sizeof(header) || end > file->len)
        return -ENOEXEC;
    header.e_shoff = 0;
    header.e_shnum = 0;
    header.e_shstrndx = SHN_UNDEF;
    memcpy(file->ptr, &header, sizeof(header));
    file->len = end;
    return 0;
}
