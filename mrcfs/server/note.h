/* SPDX-License-Identifier: GPL-2.0-or-later */
/* note.h: tells who looks what the server does (struct mfs_activity).
 * Must not know: who looks. */
#ifndef MRCFS_SERVER_NOTE_H
#define MRCFS_SERVER_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_server;

void mfs_note_request(struct mfs_server *srv);
/* Contents of the file behind fd were read or written. id: of the open file. */
void mfs_note_data(struct mfs_server *srv, uint64_t id, int fd, size_t len_bytes, bool is_written);

#endif
