/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list.h: intrusive doubly linked list; a head and its members are the same struct.
 * Must not know: what is listed. A zeroed link is not in a list; a head must be initialised. */
#ifndef COMMON_BASE_LIST_H
#define COMMON_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev;
    struct link *next;
};

static inline void list_init(struct link *head)
{
    head->prev = head->next = head;
}

static inline bool list_is_empty(const struct link *head)
{
    return head->next == head;
}

static inline bool link_is_in(const struct link *l)
{
    return l->next != NULL;
}

static inline void list_push_back(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void list_push_front(struct link *head, struct link *l)
{
    list_push_back(head->next, l);
}

/* Takes l out of its list; nothing happens if it is in none. */
static inline void list_remove(struct link *l)
{
    if (!l->next)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}

#define LIST_ENTRY(link_ptr, type, member) ((type *)((char *)(link_ptr)-offsetof(type, member)))
/* Safe against removal of the current member. */
#define LIST_EACH(head, it, nx)                                                                \
    for (struct link *it = (head)->next, *nx = it->next; it != (head); it = nx, nx = it->next)

#endif
